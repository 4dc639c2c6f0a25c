//! Phone numbers out of sight: `+7701***4567`.

/// A run of so many digits may be a phone number.
const DIGITS_MIN: usize = 10;
/// Of octets, so many are shown.
const OCTETS_SHOWN_MAX: usize = 32;
/// Of a text, so many characters are shown.
const CHARACTERS_SHOWN_MAX: usize = 500;

/// `text` with every run of ten digits or more masked, also where blanks, dashes and brackets stand between the digits.
pub(super) fn numbers(text: &str) -> String {
    masked(text, |_, _| false)
}

/// The same for the text of a receipt: message ids and dates stay as they are, being what a receipt is read for, unless they
/// look like a mobile number.
pub(super) fn numbers_of_receipt(text: &str) -> String {
    masked(text, |before, digits| {
        let before: String = before.iter().rev().take(8).rev().collect::<String>().to_ascii_lowercase();
        let before = before.trim_end();
        (before.ends_with("id:") || before.ends_with("date:")) && !is_mobile_number(digits)
    })
}

/// A message id, which is no phone number unless it looks exactly like one.
pub(super) fn message_id(id: &str) -> String {
    let digits: Vec<char> = id.chars().filter(char::is_ascii_digit).collect();
    let looks_like_one = is_mobile_number(&digits) && id.chars().all(|c| c == '+' || c.is_ascii_digit());
    if looks_like_one { numbers(id) } else { cut(id) }
}

/// A time, whose digits are many but no phone number.
pub(super) fn time(time: &str) -> String {
    let (digits, sign) = time.split_at_checked(15).unwrap_or_default();
    let is_time = digits.bytes().all(|octet| octet.is_ascii_digit()) && matches!(sign, "+" | "-" | "R");
    if is_time { time.to_owned() } else { numbers(time) }
}

/// Octets in hexadecimal; the digits of what may be a phone number, in one octet each or in two, as `**`.
pub(super) fn hex(octets: &[u8]) -> String {
    let mut hidden = vec![false; octets.len()];
    let mut run = Vec::new();
    for at in 0..=octets.len() {
        match octets.get(at) {
            Some(octet) if octet.is_ascii_digit() => run.push(at),
            Some(0) if !run.is_empty() => {}
            _ => {
                if run.len() >= DIGITS_MIN {
                    for at in &run {
                        hidden.get_mut(*at).into_iter().for_each(|hide: &mut bool| *hide = true);
                    }
                }
                run.clear();
            }
        }
    }
    let mut text = String::new();
    for (octet, hide) in octets.iter().zip(hidden).take(OCTETS_SHOWN_MAX) {
        text.push_str(&if hide { "**".to_owned() } else { format!("{octet:02X}") });
    }
    if let Some(more) = octets.len().checked_sub(OCTETS_SHOWN_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("… and {more} more"));
    }
    text
}

/// A long text, cut.
fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS_SHOWN_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// `keep` is asked of what stands before a run, and of its digits.
fn masked(text: &str, keep: impl Fn(&[char], &[char]) -> bool) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut shown = String::with_capacity(text.len());
    let mut rest = characters.as_slice();
    while let Some((first, behind)) = rest.split_first() {
        let (before, _) = characters.split_at(characters.len() - rest.len());
        let word = rest.split(|c| !c.is_numeric()).next().unwrap_or_default();
        let (digits, length) = run(rest);
        if !word.is_empty() && keep(before, word) {
            shown.extend(word);
            rest = rest.get(word.len()..).unwrap_or_default();
        } else if digits.len() >= DIGITS_MIN {
            push_masked(&mut shown, &digits);
            rest = rest.get(length..).unwrap_or_default();
        } else if !digits.is_empty() {
            shown.extend(rest.iter().take(length));
            rest = rest.get(length..).unwrap_or_default();
        } else {
            shown.push(*first);
            rest = behind;
        }
    }
    cut(&shown)
}

/// The digits that `text` begins with, and how many characters they take with what stands between them.
fn run(text: &[char]) -> (Vec<char>, usize) {
    let (mut digits, mut length, mut between) = (Vec::new(), 0, 0);
    for (at, c) in text.iter().enumerate() {
        if c.is_numeric() {
            digits.push(*c);
            (length, between) = (at + 1, 0);
        } else {
            between += 1;
            if digits.is_empty() || between > 2 || !matches!(c, ' ' | '-' | '(' | ')' | '\u{a0}') {
                break;
            }
        }
    }
    (digits, length)
}

/// The first digits and the last four; at least three are left out.
fn push_masked(shown: &mut String, digits: &[char]) {
    if digits.len() == 11 && digits.first() == Some(&'7') && !shown.ends_with('+') {
        shown.push('+');
    }
    let (head, tail) = digits.split_at(digits.len().saturating_sub(4));
    shown.extend(head.iter().take(head.len().saturating_sub(3).min(4)));
    shown.push_str("***");
    shown.extend(tail);
}

/// Eleven digits of a mobile number of Kazakhstan.
fn is_mobile_number(digits: &[char]) -> bool {
    digits.len() == 11 && matches!(digits, ['7' | '8', '7', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_masked_however_it_is_written() {
        for (written, shown) in [
            ("77011234567", "+7701***4567"),
            ("+77011234567", "+7701***4567"),
            ("87011234567", "8701***4567"),
            ("7011234567", "701***4567"),
            ("call 8 (701) 123-45-67 now", "call 8701***4567 now"),
            ("2505", "2505"),
            ("1234*2", "1234*2"),
            ("+4915112345678", "+4915***5678"),
            ("٧٧٠١١٢٣٤٥٦٧", "٧٧٠١***٤٥٦٧"),
        ] {
            assert_eq!(numbers(written), shown, "{written}");
        }
    }

    #[test]
    fn ids_and_dates_of_a_receipt_stay_and_numbers_do_not() {
        let receipt =
            "id:1234567890 sub:001 submit date:2601011200 done date: 260101120000 stat:DELIVRD to 77011234567";
        let shown = "id:1234567890 sub:001 submit date:2601011200 done date: 260101120000 stat:DELIVRD to +7701***4567";
        assert_eq!(numbers_of_receipt(receipt), shown);
        assert_eq!(numbers_of_receipt("id:77011234567"), "id:+7701***4567");
        assert_eq!(message_id("1234567890123"), "1234567890123");
        assert_eq!(message_id("77011234567"), "+7701***4567");
    }

    #[test]
    fn a_time_is_told_from_a_number() {
        assert_eq!(time("000000000200000R"), "000000000200000R");
        assert_eq!(time("260101120000000+"), "260101120000000+");
        assert_eq!(time("77011234567"), "+7701***4567");
    }

    #[test]
    fn octets_are_bounded_and_their_digits_masked() {
        assert_eq!(hex(b"\x01\xFF25"), "01FF3235");
        assert_eq!(hex(b"\x0177011234567\x02"), "01**********************02");
        assert_eq!(
            hex(b"\x007\x007\x000\x001\x001\x002\x003\x004\x005\x006"),
            "00**00**00**00**00**00**00**00**00**00**"
        );
        assert!(hex(&[0xAB; 40]).ends_with("AB… and 8 more"));
    }

    #[test]
    fn a_long_text_is_cut_after_it_was_masked() {
        let text = format!("{}77011234567", "x".repeat(CHARACTERS_SHOWN_MAX - 5));
        assert_eq!(numbers(&text), format!("{}+7701…", "x".repeat(CHARACTERS_SHOWN_MAX - 5)));
    }
}
