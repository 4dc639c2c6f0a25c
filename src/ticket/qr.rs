use qrcode::{
    Color, EcLevel, QrCode, Version,
    bits::Bits,
    render::{svg, unicode::Dense1x2},
};
use thiserror::Error;

/// How the text of every ticket begins: the scheme and its version.
pub const PREFIX: &str = "SB1:";

/// The largest QR code that old phones' screens and cheap cameras read at once.
pub const VERSION_MAX: i16 = 10;

/// Characters in alphanumeric mode in a version 10 code at level M (ISO/IEC 18004, table 7).
pub const TEXT_CHARS_MAX: usize = 311;

/// Bytes of COSE for which the text fits: base45 makes three characters of two bytes.
pub const COSE_BYTES_MAX: usize = (TEXT_CHARS_MAX - PREFIX.len()) / 3 * 2;

/// Why a text is not a ticket's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// Some other QR code.
    #[error("a ticket's text begins with SB1:")]
    NoPrefix,
    /// A character outside of base45, or a value over what two bytes hold, or a second spelling of the same bytes.
    #[error("what follows SB1: is not base45 (RFC 9285)")]
    NotBase45,
    /// Far longer than any ticket.
    #[error("{0} bytes are more than a ticket has")]
    TooLong(usize),
}

/// Why there is no QR code for a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QrError {
    /// It would need a larger code than version 10.
    #[error("{0} bytes do not fit a QR code of version 10 at level M, which holds {COSE_BYTES_MAX}")]
    TooLong(usize),
    /// The encoder refused.
    #[error("the QR encoder refused: {0}")]
    Encoder(qrcode::types::QrError),
}

/// Light modules around a code, or readers do not find it.
const QUIET_MODULES: usize = 4;

/// The most pixels to a module of a picture.
pub const PNG_SCALE_MAX: u8 = 32;

/// The text of a ticket: what its QR code holds.
pub fn to_text(cose: &[u8]) -> String {
    format!("{PREFIX}{}", base45::encode(cose))
}

/// The COSE bytes in a ticket's text. Line ends and tabs around it are passed over; spaces are not, as base45 has them.
pub fn from_text(text: &str) -> Result<Vec<u8>, TextError> {
    if text.len() > TEXT_BYTES_READ_MAX {
        return Err(TextError::TooLong(text.len()));
    }
    let text = text.trim_matches(['\r', '\n', '\t']);
    let encoded = text.strip_prefix(PREFIX).ok_or(TextError::NoPrefix)?;
    let bytes = base45::decode(encoded).map_err(|_| TextError::NotBase45)?;
    // The decoder cuts an over-large last pair to a byte and takes lower case: second spellings of one ticket.
    if base45::encode(&bytes) == encoded { Ok(bytes) } else { Err(TextError::NotBase45) }
}

const TEXT_BYTES_READ_MAX: usize = 1_024;

/// A ticket as a QR code: alphanumeric mode, error correction M, the smallest version that holds it.
pub struct TicketQr(QrCode);

impl TicketQr {
    /// Draws `cose`. Errors: more than [`COSE_BYTES_MAX`] bytes.
    pub fn new(cose: &[u8]) -> Result<TicketQr, QrError> {
        if cose.len() > COSE_BYTES_MAX {
            return Err(QrError::TooLong(cose.len()));
        }
        let text = to_text(cose);
        for version in 1..=VERSION_MAX {
            let mut bits = Bits::new(Version::Normal(version));
            bits.push_alphanumeric_data(text.as_bytes()).map_err(QrError::Encoder)?;
            match bits.push_terminator(EcLevel::M) {
                Ok(()) => return QrCode::with_bits(bits, EcLevel::M).map(TicketQr).map_err(QrError::Encoder),
                Err(qrcode::types::QrError::DataTooLong) => {}
                Err(other) => return Err(QrError::Encoder(other)),
            }
        }
        Err(QrError::TooLong(cose.len()))
    }

    /// Its version, 1 … 10.
    pub fn version(&self) -> i16 {
        match self.0.version() {
            Version::Normal(version) | Version::Micro(version) => version,
        }
    }

    /// Modules along one side, without the quiet zone.
    pub fn width(&self) -> usize {
        self.0.width()
    }

    /// Whether the module in column `x` of row `y` is dark. Outside of the code all is light.
    pub fn is_dark(&self, x: usize, y: usize) -> bool {
        x < self.width() && y < self.width() && self.0[(x, y)] == Color::Dark
    }

    /// As an SVG image, black on white with its quiet zone, eight units to the module.
    pub fn to_svg(&self) -> String {
        self.0.render::<svg::Color<'_>>().module_dimensions(8, 8).build()
    }

    /// As a PNG image of two colours, black on white, `scale` pixels to the module (1 to [`PNG_SCALE_MAX`]), with a quiet zone of four
    /// modules (ISO/IEC 18004, 5.3.8).
    pub fn to_png(&self, scale: u8) -> Vec<u8> {
        let scale = usize::from(scale.clamp(1, PNG_SCALE_MAX));
        let side = (self.width() + 2 * QUIET_MODULES) * scale;
        let is_dark = |x: usize, y: usize| {
            let module = |pixel: usize| (pixel / scale).checked_sub(QUIET_MODULES);
            module(x).zip(module(y)).is_some_and(|(x, y)| self.is_dark(x, y))
        };
        let mut pixels = Vec::with_capacity(side * side.div_ceil(8));
        for y in 0..side {
            pixels.extend(
                (0..side).step_by(8).map(|from| {
                    (from..from + 8).fold(0_u8, |bits, x| (bits << 1) | u8::from(x < side && !is_dark(x, y)))
                }),
            );
        }
        written(u32::try_from(side).unwrap_or(u32::MAX), &pixels).expect("two thousand pixels in memory are no trouble")
    }

    /// As text for a terminal, two rows to the line in half blocks, with its quiet zone. Light modules are the ones drawn:
    /// right for light text on a dark ground, which is what most terminals show.
    pub fn to_terminal(&self) -> String {
        self.0.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build()
    }
}

/// A PNG of `side` pixels, a bit for each, from the left, each row in whole bytes.
fn written(side: u32, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut image = Vec::new();
    let mut encoder = png::Encoder::new(&mut image, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rqrr::PreparedImage;

    use super::*;
    use crate::ticket::samples::{any_contents, keyring, typical, worst};

    /// Reads `dark` (a picture of `side` pixels) with a QR reader that is not ours.
    fn scan(side: usize, dark: impl Fn(usize, usize) -> bool) -> String {
        let mut picture = PreparedImage::prepare_from_bitmap(side, side, dark);
        let grids = picture.detect_grids();
        assert_eq!(grids.len(), 1, "one code in the picture");
        grids[0].decode().expect("readable").1
    }

    /// Paints the SVG's path: `Mx yhwvhHxVy` per rectangle.
    fn paint(svg: &str) -> (usize, Vec<bool>) {
        let number = |text: &str| -> usize { text.parse().expect("a number") };
        let side = number(svg.split("width=\"").nth(1).and_then(|s| s.split('"').next()).expect("width"));
        let path = svg.split(" d=\"").nth(1).and_then(|s| s.split('"').next()).expect("path");
        let mut pixels = vec![false; side * side];
        for rectangle in path.split('M').skip(1) {
            let (x, rest) = rectangle.split_once(' ').expect("x");
            let (y, rest) = rest.split_once('h').expect("y");
            let (w, rest) = rest.split_once('v').expect("w");
            let (h, _) = rest.split_once('H').expect("h");
            for row in number(y)..number(y) + number(h) {
                pixels[row * side + number(x)..][..number(w)].fill(true);
            }
        }
        (side, pixels)
    }

    fn cose(contents: &crate::ticket::TicketContents) -> Vec<u8> {
        crate::ticket::cwt::sign(contents, &ed25519_dalek::SigningKey::from_bytes(&[1; 32])).expect("signed").cose
    }

    #[test]
    fn a_reader_of_another_make_reads_the_svg() {
        for contents in [typical(), worst()] {
            let cose = cose(&contents);
            let (side, pixels) = paint(&TicketQr::new(&cose).expect("drawn").to_svg());
            let text = scan(side, |x, y| pixels[y * side + x]);
            assert_eq!(from_text(&text), Ok(cose));
        }
    }

    /// The pixels of a PNG, read with a decoder: whether each is dark, and how many are in a row.
    fn pixels_of(image: &[u8]) -> (usize, Vec<bool>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(image)).read_info().expect("a PNG");
        let mut bytes = vec![0; reader.output_buffer_size().expect("a small picture")];
        let info = reader.next_frame(&mut bytes).expect("one frame");
        assert_eq!((info.width, info.bit_depth), (info.height, png::BitDepth::One));
        let side = usize::try_from(info.width).expect("a size");
        let dark = |y: usize, x: usize| bytes[y * info.line_size + x / 8] & (0x80 >> (x % 8)) == 0;
        (side, (0..side * side).map(|pixel| dark(pixel / side, pixel % side)).collect())
    }

    #[test]
    fn a_reader_of_another_make_reads_the_png() {
        for (contents, scale) in [(typical(), 8), (worst(), 8), (typical(), 3), (worst(), 32)] {
            let cose = cose(&contents);
            let drawn = TicketQr::new(&cose).expect("drawn");
            let image = drawn.to_png(scale);
            let (side, dark) = pixels_of(&image);
            assert_eq!(side, (drawn.width() + 8) * usize::from(scale));
            assert_eq!(from_text(&scan(side, |x, y| dark[y * side + x])), Ok(cose));
            let quiet = 4 * usize::from(scale);
            let frame = (0..side * side).filter(|pixel| (pixel / side).min(pixel % side) < quiet);
            assert!(frame.into_iter().all(|pixel| !dark[pixel]), "four light modules above and to the left");
            assert!(image.len() < 8_192, "{} bytes", image.len());
        }
    }

    #[test]
    fn no_scale_is_too_small_or_too_large() {
        let drawn = TicketQr::new(&[7; 20]).expect("drawn");
        assert_eq!(pixels_of(&drawn.to_png(0)).0, drawn.width() + 8);
        assert_eq!(pixels_of(&drawn.to_png(255)).0, (drawn.width() + 8) * usize::from(PNG_SCALE_MAX));
    }

    #[test]
    fn a_reader_of_another_make_reads_the_terminal() {
        let cose = cose(&typical());
        let drawn = TicketQr::new(&cose).expect("drawn").to_terminal();
        let rows: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
        let light = |x: usize, y: usize| match rows[y / 2][x] {
            '█' => true,
            '▀' => y.is_multiple_of(2),
            '▄' => !y.is_multiple_of(2),
            _ => false,
        };
        let modules = rows[0].len();
        let text = scan(modules * 4, |x, y| !light(x / 4, y / 4));
        assert_eq!(from_text(&text), Ok(cose));
    }

    #[test]
    fn the_typical_ticket_is_version_9_and_the_worst_version_10() {
        let typical = cose(&typical());
        let worst = cose(&worst());
        println!(
            "typical {} bytes, {} characters; worst {} bytes",
            typical.len(),
            to_text(&typical).len(),
            worst.len()
        );
        assert!(typical.len() <= 172, "{}", typical.len());
        assert!(worst.len() <= COSE_BYTES_MAX, "{}", worst.len());
        assert_eq!(TicketQr::new(&typical).expect("drawn").version(), 9);
        assert_eq!(TicketQr::new(&worst).expect("drawn").version(), 10);
    }

    #[test]
    fn version_10_holds_204_bytes_and_not_one_more() {
        assert_eq!(COSE_BYTES_MAX, 204);
        assert_eq!(TicketQr::new(&[0xff; 204]).expect("drawn").version(), 10);
        assert_eq!(TicketQr::new(&[0xff; 205]).map(drop), Err(QrError::TooLong(205)));
        assert_eq!(TicketQr::new(&[0; 1]).expect("drawn").version(), 1);
    }

    #[test]
    fn base45_agrees_with_rfc_9285() {
        for (plain, text) in [("AB", "SB1:BB8"), ("Hello!!", "SB1:%69 VD92EX0"), ("ietf!", "SB1:QED8WEX0")] {
            assert_eq!(to_text(plain.as_bytes()), text);
            assert_eq!(from_text(text), Ok(plain.as_bytes().to_vec()));
        }
        assert_eq!(from_text("SB1:GGW"), Err(TextError::NotBase45));
    }

    #[test]
    fn a_second_spelling_of_the_same_bytes_is_refused() {
        assert_eq!(from_text("SB1:BB8"), Ok(b"AB".to_vec()));
        assert_eq!(from_text("SB1:bb8"), Err(TextError::NotBase45));
        // U5 is 255, V5 would be 256: cut to a byte it is 0, which is spelt 00.
        assert_eq!(from_text("SB1:U5"), Ok(vec![255]));
        assert_eq!(from_text("SB1:V5"), Err(TextError::NotBase45));
        assert_eq!(from_text("SB1:A"), Err(TextError::NotBase45));
        assert_eq!(from_text("sb1:BB8"), Err(TextError::NoPrefix));
        assert_eq!(from_text("\tSB1:BB8\r\n"), Ok(b"AB".to_vec()));
        assert_eq!(from_text(&"S".repeat(2_000)), Err(TextError::TooLong(2_000)));
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_from_their_text(bytes in prop::collection::vec(any::<u8>(), 0..205)) {
            prop_assert_eq!(from_text(&to_text(&bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics_and_each_has_one_spelling(text in "(SB1:)?[ -~Ж]{0,60}") {
            if let Ok(bytes) = from_text(&text) {
                prop_assert_eq!(to_text(&bytes), text);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn every_ticket_can_be_drawn_and_scanned(contents in any_contents()) {
            let cose = keyring().sign(&contents).expect("signed").cose;
            let drawn = TicketQr::new(&cose).expect("drawn");
            let side = (drawn.width() + 8) * 3;
            let text = scan(side, |x, y| (x / 3).checked_sub(4).zip((y / 3).checked_sub(4)).is_some_and(|(x, y)| drawn.is_dark(x, y)));
            prop_assert_eq!(from_text(&text), Ok(cose));
        }
    }
}
