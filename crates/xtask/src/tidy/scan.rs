//! Rust source without its comments and literals, so that a word is found only where it is code.
//! Invariant: the code has exactly the lines of the source, each character in its place or blank.

/// Returns `source` with every comment, string and character literal blanked out.
pub(super) fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped_end(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|&char| if char == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Whether `word` stands in `line` on its own, not as a part of an identifier. A word that ends with `!` is a macro.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && (word.ends_with('!') || !after.is_some_and(is_part))
    })
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn skipped_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |rest| rest[0] == '\n'),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        'r' if !follows_identifier(chars, at) => raw_string_end(chars, at),
        '\'' => char_literal_end(chars, at),
        _ => at,
    }
}

/// The first position from `at` on whose rest satisfies `is_end`.
fn find(chars: &[char], at: usize, is_end: impl Fn(&[char]) -> bool) -> usize {
    (at..chars.len()).find(|&index| is_end(&chars[index..])).unwrap_or(chars.len())
}

/// Block comments nest.
fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The end of a string whose text begins at `at`.
fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of `r"…"` or `r#"…"#` that begins at `start`; `start` when this `r` begins no raw string.
fn raw_string_end(chars: &[char], start: usize) -> usize {
    let quote = find(chars, start + 1, |rest| rest[0] != '#');
    if chars.get(quote) != Some(&'"') {
        return start;
    }
    let hashes = quote - start - 1;
    let closes = |rest: &[char]| {
        rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|&char| char == '#')
    };
    (find(chars, quote + 1, closes) + 1 + hashes).min(chars.len())
}

/// The end of the character literal that begins at `start`; `start` when it is a lifetime.
fn char_literal_end(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        // The character behind the backslash may itself be a quote.
        (Some('\\'), Some(_)) => (find(chars, start + 3, |rest| rest[0] == '\'') + 1).min(chars.len()),
        (Some(_), Some('\'')) => start + 3,
        _ => start,
    }
}

/// Whether the `r` at `at` ends a longer name. `br"…"` and `cr"…"` are raw strings too.
fn follows_identifier(chars: &[char], at: usize) -> bool {
    let is_part = |char: &char| char.is_alphanumeric() || *char == '_';
    let before = chars[..at].iter().rev().take_while(|char| is_part(char)).collect::<Vec<_>>();
    !matches!(before.as_slice(), [] | ['b' | 'c'])
}
