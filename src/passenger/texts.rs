use std::{collections::BTreeMap, fmt};

use minijinja::{Environment, UndefinedBehavior, Value};
use thiserror::Error;

use super::message::{Message, TextKey};
use crate::language::Language;

/// The texts that come with the program.
const SHIPPED: &str = include_str!("../../config/texts.toml");

/// Key, then language, then template.
type Sources = BTreeMap<String, BTreeMap<String, String>>;

/// The reply texts, checked whole: each renders in each language and keeps to its length.
#[derive(Clone, Debug)]
pub struct Texts {
    effective: Environment<'static>,
    /// What to fall back on should an operator's template fail on values that no sample had.
    shipped: Environment<'static>,
}

/// Why texts cannot be used. All problems are told at once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TextsError {
    /// Not TOML, or not tables of texts.
    #[error("the file of texts cannot be read: {0}")]
    Unreadable(String),
    /// Single texts are wrong.
    #[error("{}", list(.0))]
    Wrong(Vec<TextProblem>),
}

/// What is wrong with one text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("text {key:?}, language {language:?}: {what}")]
pub struct TextProblem {
    /// The key, as written.
    pub key: String,
    /// The language, as written.
    pub language: String,
    /// What is wrong.
    pub what: String,
}

impl Texts {
    /// The texts that come with the program.
    pub fn shipped() -> Texts {
        Texts::load("").expect("the shipped texts are tested")
    }

    /// The shipped texts with an operator's in place of some: `toml` has a table for each key that it replaces, with one or more of
    /// `kk`, `ru`, `en`, as `config/texts.toml` has it.
    ///
    /// Errors: all that is wrong, by key and language: unknown keys, languages and variables, templates that do not
    /// compile or render, texts that are too long or lack what a passenger must be told.
    pub fn load(toml: &str) -> Result<Texts, TextsError> {
        let mut problems = Vec::new();
        let shipped_sources = read(SHIPPED)?;
        let shipped = compile(&shipped_sources, &mut problems);
        let mut sources = shipped_sources;
        for (key, texts) in read(toml)? {
            sources.entry(key).or_default().extend(texts);
        }
        unknown(&sources, &mut problems);
        let effective = compile(&sources, &mut problems);
        for key in TextKey::all() {
            for language in Language::ALL {
                if let Err(what) = check(&effective, key, language) {
                    problems.push(problem(key, language, what));
                }
            }
        }
        if problems.is_empty() { Ok(Texts { effective, shipped }) } else { Err(TextsError::Wrong(problems)) }
    }

    /// The message in that language. An operator's template that fails on these very values gives way to the shipped one.
    pub fn render(&self, language: Language, message: &Message<'_>) -> String {
        render(&self.effective, language, message)
            .or_else(|_| render(&self.shipped, language, message))
            .expect("the shipped texts only print values and compare the number of passengers")
    }
}

fn read(toml: &str) -> Result<Sources, TextsError> {
    toml::from_str(toml).map_err(|error| TextsError::Unreadable(error.to_string()))
}

/// Compiles every template under the name `key/language`.
///
/// There are no filters and no functions, so that no text can do more than print, compare and choose.
fn compile(sources: &Sources, problems: &mut Vec<TextProblem>) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for (key, texts) in sources {
        for (language, source) in texts {
            if let Err(error) = environment.add_template_owned(format!("{key}/{language}"), source.clone()) {
                problems.push(TextProblem { key: key.clone(), language: language.clone(), what: error.to_string() });
            }
        }
    }
    environment
}

fn unknown(sources: &Sources, problems: &mut Vec<TextProblem>) {
    for (key, texts) in sources {
        let known_key = TextKey::all().any(|known| known.to_string() == *key);
        for language in texts.keys() {
            let what = match language.parse::<Language>() {
                Ok(_) if known_key => continue,
                Ok(_) => "there is no text of this name",
                Err(_) => "unknown language; known are kk, ru, en",
            };
            problems.push(TextProblem { key: key.clone(), language: language.clone(), what: what.into() });
        }
    }
}

/// Tries a text on its samples.
fn check(environment: &Environment<'_>, key: TextKey, language: Language) -> Result<(), String> {
    // One that does not compile has been reported; the shipped file lacks none.
    let Ok(template) = environment.get_template(&name(key, language)) else { return Ok(()) };
    let used = template.undeclared_variables(false);
    let samples = key.samples();
    let known = samples[0].variables(language);
    if let Some(stranger) = used.iter().find(|used| known.iter().all(|(known, _)| known != used)) {
        let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no variable {stranger:?} here; known are: {}", known.join(", ")));
    }
    for group in key.variables_required() {
        if !group.iter().any(|variable| used.contains(*variable)) {
            return Err(format!("it does not show {:?}", group.join(" or ")));
        }
    }
    for sample in samples {
        let text = render(environment, language, &sample).map_err(|error| error.to_string())?;
        let (units, units_max) = (text.encode_utf16().count(), key.units_max());
        if text.trim().is_empty() {
            return Err("it is empty".into());
        }
        if units > units_max {
            return Err(format!("it has {units} characters, at most {units_max} fit: {text:?}"));
        }
    }
    Ok(())
}

fn render(
    environment: &Environment<'_>,
    language: Language,
    message: &Message<'_>,
) -> Result<String, minijinja::Error> {
    let template = environment.get_template(&name(message.key(), language))?;
    template.render(Value::from_pairs(message.variables(language)))
}

fn name(key: TextKey, language: Language) -> String {
    format!("{key}/{language}")
}

fn problem(key: TextKey, language: Language, what: String) -> TextProblem {
    TextProblem { key: key.to_string(), language: language.to_string(), what }
}

fn list(problems: &[TextProblem]) -> impl fmt::Display {
    problems.iter().map(TextProblem::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::civil::Time;

    use super::*;
    use crate::{charge::Reason, money::Money, passenger::TicketText};

    fn problems(toml: &str) -> Vec<TextProblem> {
        match Texts::load(toml) {
            Err(TextsError::Wrong(problems)) => problems,
            other => panic!("{other:?}"),
        }
    }

    fn ticket(passengers: u8) -> TicketText<'static> {
        TicketText {
            code: "7K3M9QXZ",
            vehicle: "12345678",
            route: "139А",
            passengers,
            amount: Money::kzt(162_000),
            valid_until: Time::constant(23, 59, 0, 0),
        }
    }

    #[test]
    fn every_shipped_text_renders_in_every_language_within_its_length() {
        let texts = Texts::shipped();
        let mut seen = BTreeSet::new();
        for key in TextKey::all() {
            for language in Language::ALL {
                for sample in key.samples() {
                    let text = texts.render(language, &sample);
                    let units = text.encode_utf16().count();
                    assert!((20..=key.units_max()).contains(&units), "{key} {language}: {units}: {text}");
                    assert!(!text.contains(['{', '}', '%']) && text.trim() == text && !text.contains("  "), "{text:?}");
                }
                let first = texts.render(language, &key.samples()[0]);
                assert!(
                    seen.insert(first) || key == TextKey::TicketRepeat,
                    "{key} {language} says what another text says"
                );
            }
        }
    }

    #[test]
    fn the_ticket_of_the_longest_values_fits_one_cyrillic_sms_and_shows_all() {
        let texts = Texts::shipped();
        for language in Language::ALL {
            let text = texts.render(language, &Message::Ticket(ticket(9)));
            assert!(text.encode_utf16().count() <= 70, "{text}");
            for part in ["7K3M9QXZ", "12345678", "139А", "9 ", "1620", "23:59"] {
                assert!(text.contains(part), "{part:?} in {text:?}");
            }
        }
        assert_eq!(
            texts.render(Language::Ru, &Message::Ticket(ticket(9))),
            "Билет 7K3M9QXZ\nАвтобус 139А, борт 12345678\n9 чел. 1620 тг до 23:59"
        );
        assert_eq!(
            texts.render(Language::Kk, &Message::Ticket(ticket(1))),
            "Билет 7K3M9QXZ\nАвтобус 139А, №12345678\n1620 тг 23:59-ға дейін"
        );
        assert_eq!(
            texts.render(Language::En, &Message::Ticket(ticket(1))),
            "Ticket 7K3M9QXZ\nBus 139А, no. 12345678\n1620 KZT until 23:59"
        );
    }

    #[test]
    fn every_reason_says_first_that_nothing_was_charged() {
        let texts = Texts::shipped();
        for reason in Reason::ALL {
            for (language, nothing) in [
                (Language::Kk, "Ақша шегерілген жоқ"),
                (Language::Ru, "Деньги не списаны"),
                (Language::En, "Nothing was charged"),
            ] {
                let text = texts.render(language, &Message::Declined { reason, vehicle: "1234" });
                assert!(text.starts_with(nothing), "{text}");
            }
        }
    }

    #[test]
    fn the_charged_message_carries_no_ticket() {
        let texts = Texts::shipped();
        for language in Language::ALL {
            let text = texts.render(language, &Message::ChargedMt { vehicle: "1234", amount: Money::kzt(8_000) });
            assert!(text.contains("80 ") && text.contains("1234") && !text.contains(':'), "{text}");
        }
    }

    #[test]
    fn an_operator_replaces_single_texts_and_the_rest_stays() {
        let texts = Texts::load("[help]\nru = 'Позвоните 1414.'").expect("a good file");
        assert_eq!(texts.render(Language::Ru, &Message::Help), "Позвоните 1414.");
        let shipped = Texts::shipped();
        assert_eq!(texts.render(Language::Kk, &Message::Help), shipped.render(Language::Kk, &Message::Help));
        assert_eq!(texts.render(Language::Ru, &Message::NoTicket), shipped.render(Language::Ru, &Message::NoTicket));
    }

    #[test]
    fn everything_wrong_is_told_at_once_by_key_and_language() {
        let long = "ұ".repeat(133);
        let found = problems(&format!(
            "[help]\nkk = '{long}'\nru = '{{{{ vehicle }}}}'\nen = '{{{{'\nde = 'Hilfe'\n\
             [no_ticket]\nru = ' '\n[declined_bad_luck]\nru = 'x'\n[ticket]\nen = '{{{{ code }}}}'\n\
             [processing]\nen = '{{{{ vehicle / 2 }}}}'\n"
        ));
        for (key, language, what) in [
            ("help", "kk", "it has 133 characters, at most 132 fit"),
            ("help", "ru", "no variable \"vehicle\""),
            ("help", "en", "syntax error"),
            ("help", "de", "unknown language"),
            ("no_ticket", "ru", "it is empty"),
            ("declined_bad_luck", "ru", "no text of this name"),
            ("ticket", "en", "it does not show \"vehicle\""),
            ("processing", "en", ""),
        ] {
            let problem = found.iter().find(|problem| problem.key == key && problem.language == language);
            let problem = problem.unwrap_or_else(|| panic!("{key} {language} in {found:?}"));
            assert!(problem.what.contains(what), "{problem}");
        }
        assert_eq!(found.len(), 8, "{found:?}");
        assert!(matches!(Texts::load("help = 3"), Err(TextsError::Unreadable(_))));
        assert!(matches!(Texts::load("[help"), Err(TextsError::Unreadable(_))));
    }

    #[test]
    fn a_ticket_that_does_not_fit_one_sms_is_refused() {
        // 35 units with the longest values, so 35 more fit.
        let all = "{{ code }} {{ vehicle }} {{ route }} {{ passengers }} {{ amount }} {{ valid_until }}";
        assert!(Texts::load(&format!("[ticket]\nru = '{all}{}'", "ж".repeat(35))).is_ok());
        let found = problems(&format!("[ticket]\nru = '{all}{}'", "ж".repeat(36)));
        assert_eq!((found.len(), found[0].key.as_str(), found[0].language.as_str()), (1, "ticket", "ru"));
        assert!(found[0].what.contains("71"), "{}", found[0]);
    }

    #[test]
    fn a_template_that_fails_on_values_that_no_sample_had_gives_way_to_the_shipped_one() {
        let fragile = "[too_many_passengers]\nru = '{{ passengers_max // (passengers_max - 7) }}'";
        let texts = Texts::load(fragile).expect("it renders with the samples");
        let message = Message::TooManyPassengers { passengers_max: 7 };
        assert_eq!(texts.render(Language::Ru, &message), Texts::shipped().render(Language::Ru, &message));
    }

    #[test]
    fn values_are_printed_as_they_are_whatever_is_in_them() {
        let message = Message::Processing { vehicle: "{{ x }}<&" };
        assert!(Texts::shipped().render(Language::En, &message).contains("{{ x }}<&"));
    }
}
