//! Glob languages and whether two of them share a word. Hosts and paths say what `*` and `?` stand for;
//! here are only sets of characters, sequences of them, and a comparison that cannot run away.

/// The last code point, so that sets can be complemented.
const LAST: u32 = char::MAX as u32;

/// A set of characters, as sorted, disjoint, inclusive ranges of code points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CharSet(Vec<(u32, u32)>);

impl CharSet {
    /// Every character.
    pub(crate) fn any() -> CharSet {
        CharSet(vec![(0, LAST)])
    }

    /// One character.
    pub(crate) fn one(letter: char) -> CharSet {
        CharSet(vec![(letter as u32, letter as u32)])
    }

    /// Every character but one.
    pub(crate) fn except(letter: char) -> CharSet {
        CharSet::one(letter).complement()
    }

    /// The characters of some ranges; a range that runs backwards is empty.
    pub(crate) fn ranges(ranges: &[(char, char)]) -> CharSet {
        let mut sorted: Vec<(u32, u32)> = ranges.iter().map(|(from, to)| (*from as u32, *to as u32)).collect();
        sorted.retain(|(from, to)| from <= to);
        sorted.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
        for (from, to) in sorted {
            match merged.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                Some(_) | None => merged.push((from, to)),
            }
        }
        CharSet(merged)
    }

    /// The characters that are not in this set.
    pub(crate) fn complement(&self) -> CharSet {
        let mut next = 0;
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        for (from, to) in &self.0 {
            if next < *from {
                gaps.push((next, from - 1));
            }
            next = to + 1;
        }
        if next <= LAST {
            gaps.push((next, LAST));
        }
        CharSet(gaps)
    }

    /// The characters in both sets.
    pub(crate) fn and(&self, other: &CharSet) -> CharSet {
        let mut both = Vec::new();
        let (mut left, mut right) = (0, 0);
        while let (Some(a), Some(b)) = (self.0.get(left), other.0.get(right)) {
            let (from, to) = (a.0.max(b.0), a.1.min(b.1));
            if from <= to {
                both.push((from, to));
            }
            if a.1 < b.1 {
                left += 1;
            } else {
                right += 1;
            }
        }
        CharSet(both)
    }

    fn meets(&self, other: &CharSet) -> bool {
        let (mut left, mut right) = (0, 0);
        while let (Some(a), Some(b)) = (self.0.get(left), other.0.get(right)) {
            if a.0.max(b.0) <= a.1.min(b.1) {
                return true;
            }
            if a.1 < b.1 {
                left += 1;
            } else {
                right += 1;
            }
        }
        false
    }
}

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// Exactly one character of the set.
    One(CharSet),
    /// Any number of characters of the set, also none.
    Many(CharSet),
}

impl Token {
    /// What comparing its set costs beyond a cell: a class may list every character there is.
    fn further_ranges(&self) -> usize {
        let (Token::One(set) | Token::Many(set)) = self;
        set.0.len().saturating_sub(2)
    }
}

/// The tokens of a text without wildcards.
pub(crate) fn literal(text: &str) -> Vec<Token> {
    text.chars().map(|letter| Token::One(CharSet::one(letter))).collect()
}

/// The tokens of a glob with `*`, `?`, `[...]` and `[!...]`, each of which stands only for characters of
/// `within`. Runs of stars count as one; the caller has judged them. `None` when a class is not closed.
pub(crate) fn glob(text: &str, within: &CharSet) -> Option<Vec<Token>> {
    let letters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::with_capacity(letters.len());
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        at += 1;
        match letter {
            '*' if at >= 2 && letters[at - 2] == '*' && matches!(tokens.last(), Some(Token::Many(_))) => {}
            '*' => tokens.push(Token::Many(within.clone())),
            '?' => tokens.push(Token::One(within.clone())),
            '[' => {
                let (set, after) = class(&letters, at)?;
                tokens.push(Token::One(set.and(within)));
                at = after;
            }
            plain => tokens.push(Token::One(CharSet::one(plain))),
        }
    }
    Some(tokens)
}

/// Reads a class whose `[` was just read: its set, and the place after its `]`. A `]` that comes first is
/// a member, as in every shell.
pub(crate) fn class(letters: &[char], start: usize) -> Option<(CharSet, usize)> {
    let negated = letters.get(start) == Some(&'!');
    let first = start + usize::from(negated);
    let end = (first + 1..letters.len()).find(|at| letters[*at] == ']')?;
    let mut ranges = Vec::new();
    let mut at = first;
    while at < end {
        if at + 2 < end && letters[at + 1] == '-' {
            ranges.push((letters[at], letters[at + 2]));
            at += 3;
        } else {
            ranges.push((letters[at], letters[at]));
            at += 1;
        }
    }
    let set = CharSet::ranges(&ranges);
    Some((if negated { set.complement() } else { set }, end + 1))
}

/// How much comparing one call may do, in cells of the comparison table. When it is used up, languages
/// are taken to meet: a refusal that a person can look at, never a gateway that stops answering.
#[derive(Debug)]
pub struct Budget {
    granted: u64,
    left: u64,
}

impl Budget {
    /// What one check over one policy may spend: well under a second.
    pub fn for_policy() -> Budget {
        Budget::of(60_000_000)
    }

    /// So many cells.
    pub fn of(cells: u64) -> Budget {
        Budget { granted: cells, left: cells }
    }

    /// Takes `cells`, or says no.
    pub fn spend(&mut self, cells: usize) -> bool {
        let cells = cells as u64;
        let enough = self.left >= cells;
        self.left = if enough { self.left - cells } else { 0 };
        enough
    }

    /// Whether nothing is left, so that an answer which it bounded may be a guess.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// How many cells were taken: what a comparison cost, counted.
    pub fn spent(&self) -> u64 {
        self.granted - self.left
    }
}

/// What a character costs that is made a step of a pattern, beside the cells of a comparison.
pub(crate) const CHARACTER_COST: usize = 16;

/// What a row of the comparison table costs beside its cells.
const ROW_COST: usize = 4;

/// Whether some text is in both languages: reachability over pairs of positions, row by row, so at most
/// `left x right` cells. Positions only move forward, hence one pass is enough.
pub(crate) fn meet(left: &[Token], right: &[Token], budget: &mut Budget) -> bool {
    let mut row = vec![false; right.len() + 1];
    row[0] = true;
    let right_ranges: usize = right.iter().map(Token::further_ranges).sum();
    for at in 0..=left.len() {
        let ranges = right_ranges + right.len() * left.get(at).map_or(0, Token::further_ranges);
        if !budget.spend(ROW_COST + right.len() + 1 + ranges) {
            return true;
        }
        let mut next = vec![false; right.len() + 1];
        for column in 0..=right.len() {
            if !row[column] {
                continue;
            }
            let (a, b) = (left.get(at), right.get(column));
            if let Some(Token::Many(_)) = a {
                next[column] = true;
            }
            if let Some(Token::Many(_)) = b {
                row[column + 1] = true;
            }
            match (a, b) {
                (Some(Token::One(x)), Some(Token::One(y))) if x.meets(y) => next[column + 1] = true,
                (Some(Token::Many(x)), Some(Token::One(y))) if x.meets(y) => row[column + 1] = true,
                (Some(Token::One(x)), Some(Token::Many(y))) if x.meets(y) => next[column] = true,
                (_, _) => {}
            }
        }
        if at == left.len() {
            return row[right.len()];
        }
        if !next.contains(&true) {
            return false;
        }
        row = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every text of up to six letters of a small alphabet: enough for any pair of patterns below to meet in,
    /// if they meet at all.
    fn words() -> Vec<String> {
        let mut all = vec![String::new()];
        let mut longest = all.clone();
        for _ in 0..6 {
            longest = longest.iter().flat_map(|word| ["a", "b", "."].map(|letter| format!("{word}{letter}"))).collect();
            all.extend(longest.iter().cloned());
        }
        all
    }

    /// The obvious way to match, as a check on the clever one.
    fn accepts(pattern: &[Token], word: &[char]) -> bool {
        let has = |set: &CharSet, letter: char| set.meets(&CharSet::one(letter));
        match (pattern, word) {
            ([], rest) => rest.is_empty(),
            ([Token::One(set), after @ ..], [letter, rest @ ..]) => has(set, *letter) && accepts(after, rest),
            ([Token::One(_), ..], []) => false,
            ([Token::Many(set), after @ ..], word) => {
                accepts(after, word)
                    || word.split_first().is_some_and(|(letter, rest)| has(set, *letter) && accepts(pattern, rest))
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn two_languages_meet_exactly_when_a_word_is_in_both(
            left in "([ab.?*]|\\[ab\\]|\\[!a\\]){0,3}",
            right in "([ab.?*]|\\[ab\\]|\\[!b\\]){0,3}",
            within_labels in any::<bool>(),
        ) {
            let within = if within_labels { CharSet::ranges(&[('a', 'b')]) } else { CharSet::ranges(&[('a', 'b'), ('.', '.')]) };
            let (a, b) = (glob(&left, &within).unwrap(), glob(&right, &within).unwrap());
            let common = words().iter().any(|word| {
                let word: Vec<char> = word.chars().collect();
                accepts(&a, &word) && accepts(&b, &word)
            });
            prop_assert_eq!(meet(&a, &b, &mut Budget::for_policy()), common);
            prop_assert_eq!(meet(&b, &a, &mut Budget::for_policy()), common);
        }
    }

    #[test]
    fn sets_are_complemented_and_joined() {
        let set = CharSet::ranges(&[('d', 'f'), ('a', 'c'), ('z', 'y')]);
        assert_eq!(set, CharSet::ranges(&[('a', 'f')]));
        assert_eq!(set.complement().complement(), set);
        assert_eq!(CharSet::any().complement(), CharSet::ranges(&[]));
        assert_eq!(CharSet::except('b').and(&set), CharSet::ranges(&[('a', 'a'), ('c', 'f')]));
    }

    #[test]
    fn a_class_that_is_not_closed_is_no_glob() {
        for text in ["[", "[]", "[!]", "a[b"] {
            assert_eq!(glob(text, &CharSet::any()), None, "{text}");
        }
        assert!(glob("[]]", &CharSet::any()).is_some());
    }

    #[test]
    fn an_empty_budget_says_that_languages_meet() {
        let (a, b) = (literal("a"), literal("b"));
        assert!(!meet(&a, &b, &mut Budget::of(100)));
        assert!(meet(&a, &b, &mut Budget::of(1)));
    }
}
