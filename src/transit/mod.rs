//! placeholder
use serde::{Deserialize, Serialize};
/// placeholder
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VehicleCode(String);
impl std::str::FromStr for VehicleCode {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Ok(VehicleCode(s.into()))
    }
}
