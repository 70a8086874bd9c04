//! SFTP version 3 packets as bytes (draft-ietf-secsh-filexfer-02), right ones and wrong ones.

/// Builds one packet; `bytes` puts the length before it.
#[derive(Clone)]
#[must_use]
pub struct Request(Vec<u8>);

pub const INIT: u8 = 1;
pub const VERSION: u8 = 2;
pub const OPEN: u8 = 3;
pub const CLOSE: u8 = 4;
pub const READ: u8 = 5;
pub const WRITE: u8 = 6;
pub const LSTAT: u8 = 7;
pub const FSTAT: u8 = 8;
pub const SETSTAT: u8 = 9;
pub const FSETSTAT: u8 = 10;
pub const OPENDIR: u8 = 11;
pub const READDIR: u8 = 12;
pub const REMOVE: u8 = 13;
pub const MKDIR: u8 = 14;
pub const RMDIR: u8 = 15;
pub const REALPATH: u8 = 16;
pub const STAT: u8 = 17;
pub const RENAME: u8 = 18;
pub const READLINK: u8 = 19;
pub const SYMLINK: u8 = 20;
pub const STATUS: u8 = 101;
pub const HANDLE: u8 = 102;
pub const DATA: u8 = 103;
pub const NAME: u8 = 104;
pub const ATTRS: u8 = 105;
pub const EXTENDED: u8 = 200;
pub const EXTENDED_REPLY: u8 = 201;

pub const FLAG_READ: u32 = 0x01;
pub const FLAG_WRITE: u32 = 0x02;
pub const FLAG_APPEND: u32 = 0x04;
pub const FLAG_CREATE: u32 = 0x08;
pub const FLAG_TRUNCATE: u32 = 0x10;
pub const FLAG_EXCLUSIVE: u32 = 0x20;

pub const OK: u32 = 0;
pub const EOF: u32 = 1;
pub const NO_SUCH_FILE: u32 = 2;
pub const PERMISSION_DENIED: u32 = 3;
pub const FAILURE: u32 = 4;
pub const BAD_MESSAGE: u32 = 5;
pub const OP_UNSUPPORTED: u32 = 8;

pub const ATTRIBUTE_SIZE: u32 = 0x01;
pub const ATTRIBUTE_OWNER: u32 = 0x02;
pub const ATTRIBUTE_PERMISSIONS: u32 = 0x04;
pub const ATTRIBUTE_TIMES: u32 = 0x08;

impl Request {
    pub fn new(kind: u8, id: u32) -> Self {
        Self(vec![kind]).number(id)
    }

    pub fn init(version: u32) -> Self {
        Self(vec![INIT]).number(version)
    }

    pub fn open(id: u32, path: impl AsRef<[u8]>, flags: u32) -> Self {
        Self::new(OPEN, id).text(path).number(flags).number(0)
    }

    pub fn read(id: u32, handle: &[u8], offset: u64, length: u32) -> Self {
        Self::new(READ, id).text(handle).long(offset).number(length)
    }

    pub fn write(id: u32, handle: &[u8], offset: u64, data: &[u8]) -> Self {
        Self::new(WRITE, id).text(handle).long(offset).text(data)
    }

    /// A request whose only argument is a path or a handle.
    pub fn of(kind: u8, id: u32, path: impl AsRef<[u8]>) -> Self {
        Self::new(kind, id).text(path)
    }

    pub fn extended(id: u32, name: &str) -> Self {
        Self::new(EXTENDED, id).text(name)
    }

    /// The attributes with the size alone, as truncation sends them.
    pub fn size(self, size: u64) -> Self {
        self.number(ATTRIBUTE_SIZE).long(size)
    }

    pub fn permissions(self, permissions: u32) -> Self {
        self.number(ATTRIBUTE_PERMISSIONS).number(permissions)
    }

    pub fn text(mut self, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        self = self.number(u32::try_from(text.len()).expect("a test's text is short"));
        self.0.extend_from_slice(text);
        self
    }

    pub fn number(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub fn long(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The packet with its true length before it.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_with_length(u32::try_from(self.0.len()).expect("a test's packet is short"))
    }

    /// The packet with a length that may be a lie.
    pub fn bytes_with_length(&self, length: u32) -> Vec<u8> {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.0);
        bytes
    }
}

/// One packet from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    pub kind: u8,
    pub id: u32,
    pub body: Vec<u8>,
}

impl Reply {
    /// Parses a packet without its length.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (kind, rest) = packet.split_first()?;
        let (id, body) = rest.split_at_checked(4)?;
        Some(Self {
            kind: *kind,
            id: u32::from_be_bytes(id.try_into().ok()?),
            body: body.to_owned(),
        })
    }

    /// The status code and its message, if this is a status.
    pub fn status(&self) -> Option<(u32, String)> {
        let mut fields = Fields(&self.body);
        (self.kind == STATUS).then(|| {
            (
                fields.number(),
                String::from_utf8_lossy(fields.text()).into_owned(),
            )
        })
    }

    #[track_caller]
    pub fn must_be(&self, code: u32) -> String {
        match self.status() {
            Some((found, message)) if found == code => message,
            _ => panic!("expected status {code}, got {self:?}"),
        }
    }

    #[track_caller]
    pub fn handle(&self) -> Vec<u8> {
        assert_eq!(self.kind, HANDLE, "expected a handle, got {self:?}");
        Fields(&self.body).text().to_owned()
    }

    #[track_caller]
    pub fn data(&self) -> Vec<u8> {
        assert_eq!(self.kind, DATA, "expected data, got {self:?}");
        Fields(&self.body).text().to_owned()
    }

    /// The names of a directory's page, or of a resolved path.
    #[track_caller]
    pub fn names(&self) -> Vec<Vec<u8>> {
        assert_eq!(self.kind, NAME, "expected names, got {self:?}");
        let mut fields = Fields(&self.body);
        (0..fields.number())
            .map(|_| {
                let name = fields.text().to_owned();
                fields.text();
                fields.attributes();
                name
            })
            .collect()
    }

    #[track_caller]
    pub fn attributes(&self) -> Attributes {
        assert_eq!(self.kind, ATTRS, "expected attributes, got {self:?}");
        Fields(&self.body).attributes()
    }

    pub fn fields(&self) -> Fields<'_> {
        Fields(&self.body)
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status() {
            Some((code, message)) => write!(f, "status {code} ({message}) under id {}", self.id),
            None => {
                let start = &self.body[..self.body.len().min(60)];
                write!(
                    f,
                    "packet {} under id {}: {}",
                    self.kind,
                    self.id,
                    start.escape_ascii()
                )
            }
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub size: Option<u64>,
    pub permissions: Option<u32>,
    pub times: Option<(u32, u32)>,
}

/// Reads fields from the front; panics at the end of the bytes.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn number(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    pub fn long(&mut self) -> u64 {
        u64::from_be_bytes(self.take(8).try_into().expect("eight bytes"))
    }

    pub fn text(&mut self) -> &'a [u8] {
        let length = self.number();
        self.take(usize::try_from(length).expect("a length fits"))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn attributes(&mut self) -> Attributes {
        let flags = self.number();
        let size = (flags & ATTRIBUTE_SIZE != 0).then(|| self.long());
        if flags & ATTRIBUTE_OWNER != 0 {
            self.long();
        }
        let permissions = (flags & ATTRIBUTE_PERMISSIONS != 0).then(|| self.number());
        let times = (flags & ATTRIBUTE_TIMES != 0).then(|| (self.number(), self.number()));
        Attributes {
            size,
            permissions,
            times,
        }
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }
}
