use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Plate, VehicleCode};

/// How somebody names a vehicle: by the code on its sticker or by its state plate. Which vehicle it is, the catalogue knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum VehicleName {
    /// The code on the sticker.
    Code(VehicleCode),
    /// The state plate.
    Plate(Plate),
}

/// The text names no vehicle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a vehicle is named by one to eight digits or by its state plate")]
pub struct VehicleNameError;

impl VehicleName {
    /// In its one spelling.
    pub fn as_str(&self) -> &str {
        match self {
            VehicleName::Code(code) => code.as_str(),
            VehicleName::Plate(plate) => plate.as_str(),
        }
    }
}

impl FromStr for VehicleName {
    type Err = VehicleNameError;

    fn from_str(text: &str) -> Result<VehicleName, VehicleNameError> {
        match text.parse() {
            Ok(code) => Ok(VehicleName::Code(code)),
            Err(_) => text.parse().map(VehicleName::Plate).map_err(|_| VehicleNameError),
        }
    }
}

impl fmt::Display for VehicleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl TryFrom<String> for VehicleName {
    type Error = VehicleNameError;

    fn try_from(text: String) -> Result<VehicleName, VehicleNameError> {
        text.parse()
    }
}

impl From<VehicleName> for String {
    fn from(name: VehicleName) -> String {
        name.as_str().to_owned()
    }
}
