//! Inputs from inputs, the same ones for the same seed: flips, cuts, pieces taken from elsewhere, pieces that
//! are repeated, tokens that mean something to a parser, and numbers at their edges.

/// Bytes that parsers of ours look for.
const TOKENS: [&[u8]; 40] = [
    b": ",
    b"- ",
    b"\n",
    b"\n  - ",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\"",
    b"'",
    b"*",
    b"**",
    b"*a",
    b"&a ",
    b"&a [*a]",
    b"<<: *a",
    b"|\n",
    b">\n",
    b"---\n",
    b"...\n",
    b"!!str ",
    b"!!binary ",
    b"#",
    b"? ",
    b"~",
    b"null",
    b"true",
    b"4294967296",
    b"18446744073709551616",
    b"-1",
    b".nan",
    b"1e999",
    b"\0",
    b"\xF0\x9F\xA6\x80",
    b"\xEF\xBB\xBF",
    b"\x0A\x00",
    b"\x12\x00",
    b"\xFF\xFF\xFF\xFF\x0F",
    b"[!a-z]{",
];

/// How large an input may get, so that many of them are tried in little time.
const BYTES_MAX: usize = 64 * 1024;

/// A seeded source of mutations.
pub struct Mutator(u64);

impl Mutator {
    /// All that follows is a function of the seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 1).unwrap_or(usize::MAX).checked_rem(bound).unwrap_or(0)
    }

    /// The next input: one of the seeds, changed in one to eight places.
    ///
    /// # Panics
    /// When there are no seeds.
    pub fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        input.truncate(BYTES_MAX);
        for _ in 0..=self.below(8) {
            let other = &seeds[self.below(seeds.len())];
            self.change(&mut input, other);
            input.truncate(BYTES_MAX);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let (start, end) = self.piece(input.len());
        match self.below(8) {
            0 if start < input.len() => input[start] ^= 1 << self.below(8),
            1 => drop(input.drain(start..end)),
            2 => input.truncate(start),
            3 => {
                let (from, to) = self.piece(other.len());
                input.splice(start..end, other[from..to].iter().copied());
            }
            4 => {
                let times = 1 + self.below(64).min(BYTES_MAX / (1 + end - start));
                let repeated = input[start..end].repeat(times);
                input.splice(start..start, repeated);
            }
            5 => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(start..start, token.iter().copied());
            }
            6 => {
                let token = TOKENS[self.below(TOKENS.len())].repeat(1 + self.below(200));
                input.splice(start..start, token);
            }
            _ => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(start..end.min(start + 8), token.iter().copied());
            }
        }
    }

    /// A place and one behind it, short more often than long.
    fn piece(&mut self, length: usize) -> (usize, usize) {
        let start = self.below(length + 1);
        let longest = if self.below(4) == 0 { length } else { 32 };
        (start, (start + self.below(longest + 1)).min(length))
    }
}
