//! `smsbusd check-config`

use super::{ConfigArgs, Exit, Outcome, output::print};
use crate::{clock::Clock, settings};

/// Reads the configuration and everything that it refers to. Writes nothing, opens no connection.
///
/// Errors: every problem, with file and key; exit status 78.
pub fn check_config(args: &ConfigArgs) -> Outcome {
    let configuration = settings::load(&args.sources(), Clock::System.now())?;
    let (settings, catalogue) = (&configuration.settings, &configuration.materials.books.catalogue);
    let carriers: Vec<&str> = settings.carriers.keys().map(|name| name.as_str()).collect();
    print("The configuration is sound.")?;
    print(format!("carriers      {}", carriers.join(", ")))?;
    print(format!("callers       {}", settings.api.config.tokens.len()))?;
    print(format!("vehicles      {} on {} routes", catalogue.vehicles().count(), catalogue.routes().count()))?;
    print(format!("fares         {}, each with a tariff at every carrier", catalogue.fares().count()))?;
    print(format!("number lists  {}", settings.numbers.lists.len()))?;
    print(format!("last key end  {}", configuration.materials.keyring.last_end()))?;
    Ok(Exit::Done)
}
