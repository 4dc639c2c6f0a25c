//! One spelling for what phones and people write in many.

use crate::transit::latin_look_alike;

/// `text` without what cannot be seen, in upper case, full-width forms made plain, every run of blanks one space, none at the
/// ends.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !is_invisible(*c)).map(half_width).flat_map(char::to_uppercase) {
        if !c.is_whitespace() && !c.is_control() {
            plain.push(c);
        } else if !plain.is_empty() && !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
}

/// `text` with capitals that look alike in Cyrillic and Latin made Latin, so that it does not matter on which keyboard each letter was
/// typed.
pub(super) fn look_alikes_folded(text: &str) -> String {
    text.chars().map(latin).collect()
}

const fn latin(c: char) -> char {
    match c {
        // Kazakh; and what is typed for it on a keyboard that lacks it.
        'І' => 'I',
        'Қ' => 'K',
        'Ө' => 'O',
        'Ә' => 'A',
        other => latin_look_alike(other),
    }
}

/// Characters that take no place: zero-width, direction marks, byte order mark, variation selectors, soft hyphen, keycap.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}'
            | '\u{34F}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{20E3}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
    )
}

/// Full-width forms, which some keyboards write, to ASCII; and the signs that look like the asterisk or mean it.
fn half_width(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '×' | '∗' | '✱' | '⁎' => '*',
        _ => c,
    }
}
