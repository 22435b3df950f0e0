//! Splits a protocol buffer into fields by number, without interpreting them.

use std::collections::BTreeMap;

use super::error::Error;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire<'a> {
    /// A number or a boolean.
    Number(u64),
    /// Text, bytes, a message.
    Bytes(&'a [u8]),
}

/// The fields of a message, with all values of each.
#[derive(Debug, Default)]
pub struct Fields<'a>(BTreeMap<u32, Vec<Wire<'a>>>);

impl<'a> Fields<'a> {
    /// Reads a message.
    pub fn parse(mut bytes: &'a [u8]) -> Result<Self, Error> {
        let mut fields = Self::default();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let number =
                u32::try_from(key >> 3).map_err(|_| Error::Malformed("a field number is too large"))?;
            let wire = match key & 7 {
                0 => Wire::Number(varint(&mut bytes)?),
                1 => Wire::Number(fixed::<8>(&mut bytes)?),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).unwrap_or(usize::MAX);
                    Wire::Bytes(take(&mut bytes, length)?)
                }
                5 => Wire::Number(fixed::<4>(&mut bytes)?),
                _ => return Err(Error::Malformed("a field is of no known type")),
            };
            fields.0.entry(number).or_default().push(wire);
        }
        Ok(fields)
    }

    /// Numbers of the fields that occur.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    /// Every value of a field.
    pub fn all(&self, number: u32) -> &[Wire<'a>] {
        self.0.get(&number).map_or(&[], Vec::as_slice)
    }

    /// The last value of a field, which counts by the rules of the format.
    pub fn last(&self, number: u32) -> Option<Wire<'a>> {
        self.all(number).last().copied()
    }

    /// A field of text, bytes or a message.
    pub fn bytes(&self, number: u32) -> Result<Option<&'a [u8]>, Error> {
        self.last(number).map(Wire::bytes).transpose()
    }

    /// A field of a number.
    pub fn number(&self, number: u32) -> Result<Option<u64>, Error> {
        self.last(number).map(Wire::number).transpose()
    }
}

impl<'a> Wire<'a> {
    /// The bytes, if it holds bytes.
    pub fn bytes(self) -> Result<&'a [u8], Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(Error::Malformed("a number stands where bytes belong")),
        }
    }

    /// The number, if it holds one.
    pub fn number(self) -> Result<u64, Error> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) => Err(Error::Malformed("bytes stand where a number belongs")),
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Error> {
    let (head, rest) = bytes.split_at_checked(length).ok_or(Error::Malformed("it ends too early"))?;
    *bytes = rest;
    Ok(head)
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Result<u64, Error> {
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(take(bytes, N)?);
    Ok(u64::from_le_bytes(wide))
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Error> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Error::Malformed("a number is too long"))
}
