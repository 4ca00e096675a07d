//! A plain decoder of DEFLATE (RFC 1951) that tells how far back a stream refers. Invariant: it shares no code with the
//! decompressor, and trusts its input, which is our compressor's output.

/// Bits of a stream, least significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn one(&mut self) -> usize {
        let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
        self.at += 1;
        usize::from(bit)
    }

    fn take(&mut self, count: usize) -> usize {
        (0..count).map(|place| self.one() << place).sum()
    }
}

/// A canonical Huffman code (RFC 1951 §3.2.2): symbols by code length and code.
struct Code {
    lengths: Vec<usize>,
}

impl Code {
    fn read(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first) = (0, 0);
        for length in 1..=15 {
            code = code << 1 | bits.one();
            first <<= 1;
            let count = self.lengths.iter().filter(|&&other| other == length).count();
            if code < first + count {
                let mut symbols = (0..self.lengths.len()).filter(|&symbol| self.lengths[symbol] == length);
                return symbols.nth(code - first).expect("within the count");
            }
            first += count;
        }
        panic!("a code of more than 15 bits")
    }
}

fn fixed() -> (Code, Code) {
    let literals = [(144, 8), (112, 9), (24, 7), (8, 8)];
    let lengths = literals.iter().flat_map(|&(count, length)| vec![length; count]).collect();
    (Code { lengths }, Code { lengths: vec![5; 30] })
}

/// RFC 1951 §3.2.7.
fn dynamic(bits: &mut Bits<'_>) -> (Code, Code) {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, lengths_of) = (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
    let mut code = Code { lengths: vec![0; 19] };
    for place in &ORDER[..lengths_of] {
        code.lengths[*place] = bits.take(3);
    }
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match code.read(bits) {
            16 => (*lengths.last().expect("a length before"), 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length, 1),
        };
        lengths.extend(vec![length; times]);
    }
    let distances = lengths.split_off(literals);
    (Code { lengths }, Code { lengths: distances })
}

/// The value of a length or distance symbol (RFC 1951 §3.2.5): `per_step` symbols share a number of extra bits.
fn extended(bits: &mut Bits<'_>, symbol: usize, least: usize, per_step: usize) -> usize {
    if symbol < 2 * per_step {
        return least + symbol;
    }
    let extra = symbol / per_step - 1;
    least + ((per_step + symbol % per_step) << extra) + bits.take(extra)
}

/// The message that a payload stands for, and the largest distance in it.
pub(super) fn decode(payload: &[u8]) -> (Vec<u8>, usize) {
    let bytes = [payload, &super::TAIL].concat();
    let (mut bits, mut message, mut reach) = (Bits { bytes: &bytes, at: 0 }, Vec::new(), 0);
    while bits.at.div_ceil(8) < bytes.len() {
        assert_eq!(bits.one(), 0, "the compressor sets no BFINAL");
        let (literals, distances) = match bits.take(2) {
            0 => {
                bits.at = bits.at.next_multiple_of(8);
                let len = bits.take(16);
                bits.take(16);
                message.extend((0..len).map(|_| bits.take(8) as u8));
                continue;
            }
            1 => fixed(),
            _ => dynamic(&mut bits),
        };
        loop {
            match literals.read(&mut bits) {
                literal @ 0..256 => message.push(literal as u8),
                256 => break,
                symbol => {
                    let len = if symbol == 285 { 258 } else { extended(&mut bits, symbol - 257, 3, 4) };
                    let symbol = distances.read(&mut bits);
                    let distance = extended(&mut bits, symbol, 1, 2);
                    reach = reach.max(distance);
                    for _ in 0..len {
                        message.push(message[message.len() - distance]);
                    }
                }
            }
        }
    }
    (message, reach)
}
