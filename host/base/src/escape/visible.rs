//! Tells visible characters from invisible ones.

/// Whether a character is visible, looks like what it does, and takes part in one line of text: letters,
/// digits, punctuation, symbols, combining marks, and the space.
pub fn is_visible(c: char) -> bool {
    match c {
        ' '..='~' => true,
        c if c.is_ascii() => false,
        c => is_printable(c) && !is_blank(c),
    }
}

/// Whether the standard library takes a character for printable: no control (Cc), no format (Cf: the marks of
/// direction, zero width spaces), no separator of lines, paragraphs or words, nothing private or unassigned.
///
/// The answer is how `escape_debug` treats the character within a text; at the beginning it would escape
/// combining marks too.
fn is_printable(c: char) -> bool {
    let mut buffer = [b'a', 0, 0, 0, 0];
    let length = c.encode_utf8(&mut buffer[1..]).len();
    let text = std::str::from_utf8(&buffer[..=length]).expect("it is an `a` and one character");
    text.escape_debug().nth(1) == Some(c)
}

/// Whether a letter, mark or symbol shows nothing: those that Unicode lists as `Default_Ignorable_Code_Point`
/// but not as format characters (DerivedCoreProperties.txt), and two symbols that are blank.
fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\u{34f}'                 // combining grapheme joiner
        | '\u{115f}' | '\u{1160}' // Hangul fillers
        | '\u{3164}' | '\u{ffa0}'
        | '\u{17b4}' | '\u{17b5}' // Khmer inherent vowels
        | '\u{180b}'..='\u{180f}' // Mongolian selectors
        | '\u{2800}'              // Braille pattern without dots
        | '\u{fe00}'..='\u{fe0f}' // variation selectors
        | '\u{1d159}'             // musical null notehead
        | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_visible_readable_scripts_pass() {
        let texts = "azAZ09 ~!\"\\é ß Ωж 日本語 ひらがな 한국어 हिन्दी ไทย العربية עברית ✓ € … µ 🦀 e\u{301}";
        for c in texts.chars() {
            assert!(is_visible(c), "{c} U+{:04X}", c as u32);
        }
    }

    /// General category Cf of Unicode 16, the categories Zl, Zp and Zs without the space, and characters of
    /// categories of letters, marks or symbols that have no shape.
    #[test]
    fn is_visible_format_separator_and_blank_characters_fail() {
        let format: [(u32, u32); 21] = [
            (0xad, 0xad),
            (0x600, 0x605),
            (0x61c, 0x61c),
            (0x6dd, 0x6dd),
            (0x70f, 0x70f),
            (0x890, 0x891),
            (0x8e2, 0x8e2),
            (0x180e, 0x180e),
            (0x200b, 0x200f),
            (0x202a, 0x202e),
            (0x2060, 0x2064),
            (0x2066, 0x206f),
            (0xfeff, 0xfeff),
            (0xfff9, 0xfffb),
            (0x110bd, 0x110bd),
            (0x110cd, 0x110cd),
            (0x13430, 0x1343f),
            (0x1bca0, 0x1bca3),
            (0x1d173, 0x1d17a),
            (0xe0001, 0xe0001),
            (0xe0020, 0xe007f),
        ];
        let separators = [
            (0xa0, 0xa0),
            (0x1680, 0x1680),
            (0x2000, 0x200a),
            (0x2028, 0x2029),
            (0x202f, 0x202f),
            (0x205f, 0x205f),
            (0x3000, 0x3000),
        ];
        let blank = [
            (0x34f, 0x34f),
            (0x115f, 0x1160),
            (0x17b4, 0x17b5),
            (0x180b, 0x180f),
            (0x2065, 0x2065),
            (0x2800, 0x2800),
            (0x3164, 0x3164),
            (0xfe00, 0xfe0f),
            (0xffa0, 0xffa0),
            (0xfff0, 0xfff8),
            (0xe0000, 0xe0fff),
        ];
        let controls = [(0, 0x1f), (0x7f, 0x9f)];
        let private = [(0xe000, 0xf8ff), (0xfffe, 0xffff), (0x10ffff, 0x10ffff)];
        let all = format
            .iter()
            .chain(&separators)
            .chain(&blank)
            .chain(&controls)
            .chain(&private);
        for c in all
            .flat_map(|(first, last)| *first..=*last)
            .filter_map(char::from_u32)
        {
            assert!(!is_visible(c), "U+{:04X}", c as u32);
        }
    }
}
