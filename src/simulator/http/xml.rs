//! XML answers: one element with elements of text.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// `<response>` with these elements in their order.
pub(super) fn response(status: StatusCode, elements: &[(&str, &str)]) -> Response {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response>");
    for (name, value) in elements {
        text.push_str(&format!("<{name}>{}</{name}>", escaped(value)));
    }
    text.push_str("</response>\n");
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
    (status, [kind], text).into_response()
}

/// Text as an element may have it; what XML 1.0 has no way to say becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '\t' | '\n' => written.push(character),
            control if control.is_control() || matches!(control, '\u{FFFE}' | '\u{FFFF}') => written.push('\u{FFFD}'),
            other => written.push(other),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_said_stays_well_formed(text in any::<String>()) {
            let document = format!("<comment>{}</comment>", escaped(&text));
            let parsed = roxmltree::Document::parse(&document).expect("well-formed");
            let plain: String = text.chars().filter(|c| !c.is_control()).collect();
            let read: String = parsed.root_element().text().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
            if !text.chars().any(|c| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}')) {
                prop_assert_eq!(read, plain);
            }
        }
    }
}
