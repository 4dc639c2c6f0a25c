/// No receipt has more; what follows is not read.
const FIELDS_MAX: usize = 24;

/// A field that the reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Id,
    Submitted,
    DeliveredCount,
    SubmitDate,
    DoneDate,
    Stat,
    Err,
    Text,
    Other,
}

impl Key {
    /// By its name in lower case, blanks and underscores taken out.
    fn named(name: &str) -> Key {
        match name {
            "id" | "msgid" | "messageid" => Key::Id,
            "sub" => Key::Submitted,
            "dlvrd" => Key::DeliveredCount,
            "submitdate" => Key::SubmitDate,
            "donedate" => Key::DoneDate,
            "stat" | "status" => Key::Stat,
            "err" | "error" => Key::Err,
            "text" => Key::Text,
            _ => Key::Other,
        }
    }
}

/// One `key:value`. The value has no blanks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) key: Key,
    pub(super) value: &'a str,
}

/// The fields of a receipt's text, in its order, at most 24.
///
/// A key is a word (or one of the pairs such as `done date`) at the beginning or after a blank or separator, and a colon; its
/// value runs to the next key. `text` ends the fields: behind it stands what somebody wrote, which may look like anything.
pub(super) fn fields(text: &str) -> Vec<Field<'_>> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut open: Option<(Key, usize)> = None;
    for (colon, _) in text.match_indices(':') {
        // The last key's colon is left in sight: a word that sticks to it is a value.
        let from = open.map_or(0, |(_, value_start)| value_start - 1);
        let Some((key, key_start)) = key_before(&text[from..colon]) else { continue };
        if let Some((key, value_start)) = open {
            fields.push(Field { key, value: trim(&text[value_start..from + key_start]) });
        }
        open = Some((key, colon + 1));
        if key == Key::Text || fields.len() + 1 >= FIELDS_MAX {
            break;
        }
    }
    if let Some((key, value_start)) = open {
        fields.push(Field { key, value: trim(&text[value_start..]) });
    }
    fields
}

/// The key that ends `before`, which ends at a colon, and where it begins there.
fn key_before(before: &str) -> Option<(Key, usize)> {
    let name = before.trim_end();
    let (word_start, word) = last_word(name)?;
    if word.eq_ignore_ascii_case("date") || word.eq_ignore_ascii_case("id") {
        let pair =
            last_word(name[..word_start].trim_end()).map(|(start, _)| (Key::named(&squeeze(&name[start..])), start));
        if let Some((key, start)) = pair
            && key != Key::Other
        {
            return Some((key, start));
        }
    }
    Some((Key::named(&squeeze(word)), word_start))
}

/// The last word of `text`, of ASCII letters and underscores, and where it begins; none if something else sticks to it.
fn last_word(text: &str) -> Option<(usize, &str)> {
    let head = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '_');
    let free = head.chars().next_back().is_none_or(is_separator);
    (free && head.len() < text.len()).then(|| (head.len(), &text[head.len()..]))
}

fn squeeze(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphabetic()).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '|')
}

fn trim(value: &str) -> &str {
    value.trim_matches(is_separator)
}
