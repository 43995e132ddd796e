//! A message in the parts that its grammar has. Each part is bytes, so that a mutation can make anything of it.

/// A message that is to be mutated and then written.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The three parts of the first line, and the bytes between and after them.
    pub(crate) line: [Vec<u8>; 6],
    pub(crate) fields: Vec<Field>,
    /// The empty line.
    pub(crate) end: Vec<u8>,
    pub(crate) body: Body,
}

/// A field line.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: Vec<u8>,
    pub(crate) colon: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

/// The part of a message after its head.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Plain(Vec<u8>),
    Chunks {
        /// All chunks, including the last one.
        chunks: Vec<Chunk>,
        trailers: Vec<Field>,
        end: Vec<u8>,
    },
}

/// A chunk with its line.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) size: Vec<u8>,
    pub(crate) extension: Vec<u8>,
    pub(crate) line_end: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

/// Indices of the parts of a first line.
pub(crate) const METHOD: usize = 0;
pub(crate) const TARGET: usize = 2;
pub(crate) const REQUEST_VERSION: usize = 4;
pub(crate) const RESPONSE_VERSION: usize = 0;
pub(crate) const STATUS: usize = 2;
pub(crate) const REASON: usize = 4;
/// Indices of the spaces and of the line's end.
pub(crate) const BETWEEN: [usize; 3] = [1, 3, 5];

impl Draft {
    /// A message without fields and body.
    pub(crate) fn new(first: &str, second: &str, third: &str) -> Draft {
        let parts = [first, " ", second, " ", third, "\r\n"];
        Draft {
            line: parts.map(|part| part.as_bytes().to_vec()),
            fields: Vec::new(),
            end: b"\r\n".to_vec(),
            body: Body::Plain(Vec::new()),
        }
    }

    /// Adds a field.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Draft {
        self.fields.push(Field::new(name, value));
        self
    }

    /// Adds a body and its length.
    pub(crate) fn sized(self, body: &str) -> Draft {
        let length = body.len().to_string();
        Draft {
            body: Body::Plain(body.as_bytes().to_vec()),
            ..self.field("Content-Length", &length)
        }
    }

    /// Adds a body without framing.
    pub(crate) fn bare(self, body: &str) -> Draft {
        Draft {
            body: Body::Plain(body.as_bytes().to_vec()),
            ..self
        }
    }

    /// Adds a body in chunks, each with an extension.
    pub(crate) fn chunked(self, chunks: &[(&str, &str)], trailers: &[(&str, &str)]) -> Draft {
        let last = ("", "");
        let chunks = chunks.iter().chain([&last]);
        Draft {
            body: Body::Chunks {
                chunks: chunks
                    .map(|(data, extension)| Chunk::new(data, extension))
                    .collect(),
                trailers: trailers
                    .iter()
                    .map(|(name, value)| Field::new(name, value))
                    .collect(),
                end: b"\r\n".to_vec(),
            },
            ..self.field("Transfer-Encoding", "chunked")
        }
    }

    /// Encodes the message for the wire.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = self.line.concat();
        self.fields.iter().for_each(|field| field.write(&mut out));
        out.extend_from_slice(&self.end);
        match &self.body {
            Body::Plain(bytes) => out.extend_from_slice(bytes),
            Body::Chunks {
                chunks,
                trailers,
                end,
            } => {
                for chunk in chunks {
                    let parts = [
                        &chunk.size,
                        &chunk.extension,
                        &chunk.line_end,
                        &chunk.data,
                        &chunk.end,
                    ];
                    parts.iter().for_each(|part| out.extend_from_slice(part));
                }
                trailers.iter().for_each(|field| field.write(&mut out));
                out.extend_from_slice(end);
            }
        }
        out
    }
}

impl Field {
    pub(crate) fn new(name: &str, value: &str) -> Field {
        Field {
            name: name.as_bytes().to_vec(),
            colon: b": ".to_vec(),
            value: value.as_bytes().to_vec(),
            end: b"\r\n".to_vec(),
        }
    }

    /// Whether the field has this name, in any spelling.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let parts = [&self.name, &self.colon, &self.value, &self.end];
        parts.iter().for_each(|part| out.extend_from_slice(part));
    }
}

impl Chunk {
    /// A chunk of this data; one without data is the last.
    pub(crate) fn new(data: &str, extension: &str) -> Chunk {
        let end: &[u8] = if data.is_empty() { b"" } else { b"\r\n" };
        Chunk {
            size: format!("{:x}", data.len()).into_bytes(),
            extension: extension.as_bytes().to_vec(),
            line_end: b"\r\n".to_vec(),
            data: data.as_bytes().to_vec(),
            end: end.to_vec(),
        }
    }
}
