//! Converts fields by number to JSON, as Go's `encoding/json` would write the same object.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};

use super::error::Error;
use super::table::{Field, Table, Type};
use super::wire::{Fields, Wire};

/// How seconds and microseconds are written.
const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";
const MICROSECONDS: &str = "%Y-%m-%dT%H:%M:%S.%6fZ";

/// Reads messages and collects unknown fields.
pub struct Reader {
    /// The table of messages.
    pub table: &'static Table,
    /// Fields that are not in it.
    pub unknown: BTreeSet<String>,
}

impl Reader {
    /// The fields of a message.
    pub fn message(&mut self, name: &str, bytes: &[u8]) -> Result<Map<String, Value>, Error> {
        let wires = Fields::parse(bytes)?;
        let known = self.table.messages.get(name).map_or(&[][..], Vec::as_slice);
        for number in wires.numbers().filter(|number| known.iter().all(|field| field.number != *number)) {
            self.unknown.insert(format!("{name}.{number}"));
        }
        let mut object = Map::new();
        for field in known {
            match self.field(field, &wires)? {
                Some(Value::Object(fields)) if field.inline => object.extend(fields),
                Some(value) => drop(object.insert(field.name.clone(), value)),
                None => {}
            }
        }
        Ok(object)
    }

    /// The value of a field; `None` if JSON omits it.
    fn field(&mut self, field: &Field, wires: &Fields<'_>) -> Result<Option<Value>, Error> {
        let null = || (!field.omit_empty).then_some(Value::Null);
        let all = wires.all(field.number);
        match &field.kind {
            Type::List(_) | Type::Map(_) if all.is_empty() => return Ok(null()),
            Type::List(kind) => {
                let items = all.iter().map(|wire| self.value(kind, Some(*wire)));
                return items.collect::<Result<Vec<_>, _>>().map(|items| Some(items.into()));
            }
            Type::Map(kind) => return self.map(kind, all).map(Some),
            _ => {}
        }
        let wire = all.last().copied();
        if field.pointer && wire.is_none() {
            return Ok(null());
        }
        let value = self.value(&field.kind, wire)?;
        let is_left_out = match &field.kind {
            // A pointer that is set is written even if its value is zero.
            _ if field.pointer => false,
            // To Go a struct is never empty. It is zero if all of its fields are.
            Type::Message(_) | Type::Quantity | Type::IntOrString | Type::Json => {
                field.omit_zero && is_zero(&value)
            }
            Type::Time | Type::MicroTime => value.is_null() && field.omit_zero,
            _ => field.omit_empty && is_empty(&value),
        };
        Ok((!is_left_out).then_some(value))
    }

    /// Key (1) and value (2) of each entry.
    fn map(&mut self, kind: &Type, entries: &[Wire<'_>]) -> Result<Value, Error> {
        let mut map = Map::new();
        for entry in entries {
            let entry = Fields::parse(entry.bytes()?)?;
            let key = text(entry.bytes(1)?.unwrap_or_default())?;
            let value = match (kind, entry.last(2)) {
                (Type::Bytes, None) => Value::String(String::new()),
                (kind, wire) => self.value(kind, wire)?,
            };
            map.insert(key, value);
        }
        Ok(map.into())
    }

    /// A value that is not a list; zero if it is absent.
    fn value(&mut self, kind: &Type, wire: Option<Wire<'_>>) -> Result<Value, Error> {
        let number = || wire.map_or(Ok(0), Wire::number);
        let bytes = || wire.map_or(Ok(&[][..]), Wire::bytes);
        Ok(match kind {
            Type::Text => text(bytes()?)?.into(),
            Type::Bool => (number()? != 0).into(),
            Type::Int => number()?.cast_signed().into(),
            Type::Bytes if wire.is_none() => Value::Null,
            Type::Bytes => STANDARD.encode(bytes()?).into(),
            Type::Time => time(bytes()?, SECONDS)?,
            Type::MicroTime => time(bytes()?, MICROSECONDS)?,
            Type::Json => json(bytes()?)?,
            Type::Quantity => quantity(bytes()?)?,
            Type::IntOrString => int_or_string(bytes()?)?,
            Type::Message(name) => self.message(name, bytes()?)?.into(),
            Type::List(_) | Type::Map(_) => return Err(Error::Malformed("a list stands in a list")),
        })
    }
}

/// Whether Go's `omitempty` omits it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Whether all of it is empty.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(is_zero),
        value => is_empty(value),
    }
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Malformed("text is not UTF-8"))
}

/// Seconds (1) and nanoseconds (2). No bytes mean null.
fn time(bytes: &[u8], format: &str) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let fields = Fields::parse(bytes)?;
    let seconds = fields.number(1)?.unwrap_or(0).cast_signed();
    let nanos = i32::try_from(fields.number(2)?.unwrap_or(0))
        .map_err(|_| Error::Malformed("a time is out of range"))?;
    let time = Timestamp::new(seconds, nanos).map_err(|_| Error::Malformed("a time is out of range"))?;
    Ok(time.strftime(format).to_string().into())
}

/// Raw JSON (1).
fn json(bytes: &[u8]) -> Result<Value, Error> {
    let fields = Fields::parse(bytes)?;
    let raw = fields.bytes(1)?.unwrap_or_default();
    match raw.is_empty() {
        true => Ok(Value::Null),
        false => serde_json::from_slice(raw).map_err(|error| Error::Json(error.to_string())),
    }
}

/// Text (1), already normalised.
fn quantity(bytes: &[u8]) -> Result<Value, Error> {
    let fields = Fields::parse(bytes)?;
    let written = text(fields.bytes(1)?.unwrap_or_default())?;
    Ok(if written.is_empty() { "0".into() } else { written.into() })
}

/// Type (1), number (2), text (3).
fn int_or_string(bytes: &[u8]) -> Result<Value, Error> {
    let fields = Fields::parse(bytes)?;
    match fields.number(1)?.unwrap_or(0) {
        0 => Ok(fields.number(2)?.unwrap_or(0).cast_signed().into()),
        _ => Ok(text(fields.bytes(3)?.unwrap_or_default())?.into()),
    }
}
