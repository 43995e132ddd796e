//! Messages that are as they were if a plugin fails open while it changes them.

use http::header::HeaderValue;

use pace_hook::field::FieldName;
use pace_hook::{EditError, Headers, RequestHead, ResponseHead};

/// Something that can return to what it was before a plugin.
pub trait Undo {
    /// Sets whether what the plugin that is called next changes can be undone.
    fn keep(&mut self, is_undoable: bool);

    /// Undoes the changes since [`Undo::keep`].
    fn undo(&mut self);
}

/// A head in the hands of a plugin. It is copied before its first change, if that can be undone.
pub(super) struct Undoable<'h, H> {
    head: &'h mut H,
    is_undoable: bool,
    before: Option<H>,
}

impl<'h, H: Clone> Undoable<'h, H> {
    pub(super) fn new(head: &'h mut H, is_undoable: bool) -> Self {
        Undoable {
            head,
            is_undoable,
            before: None,
        }
    }

    /// Undoes all changes.
    pub(super) fn undo(self) {
        if let Some(before) = self.before {
            *self.head = before;
        }
    }

    fn edit(&mut self) -> &mut H {
        if self.is_undoable && self.before.is_none() {
            self.before = Some(self.head.clone());
        }
        self.head
    }
}

impl<H: Headers + Clone> Headers for Undoable<'_, H> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.header(name)
    }

    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        self.head.header_values(name)
    }

    fn for_each_header(&self, each: &mut dyn FnMut(&str, &[u8])) {
        self.head.for_each_header(each);
    }

    fn set_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.edit().set_header(name, value)
    }

    fn append_header(&mut self, name: &FieldName, value: HeaderValue) -> Result<(), EditError> {
        self.edit().append_header(name, value)
    }

    fn remove_header(&mut self, name: &FieldName) -> Result<bool, EditError> {
        self.edit().remove_header(name)
    }
}

impl<H: RequestHead + Clone> RequestHead for Undoable<'_, H> {
    fn method(&self) -> &str {
        self.head.method()
    }

    fn authority(&self) -> Option<&str> {
        self.head.authority()
    }

    fn path(&self) -> &str {
        self.head.path()
    }

    fn query(&self) -> Option<&str> {
        self.head.query()
    }

    fn version(&self) -> &'static str {
        self.head.version()
    }

    fn routed_path(&self) -> &str {
        self.head.routed_path()
    }

    fn original_target(&self) -> &str {
        self.head.original_target()
    }

    fn set_path_and_query(&mut self, value: &str) -> Result<(), EditError> {
        self.edit().set_path_and_query(value)
    }
}

impl<H: ResponseHead + Clone> ResponseHead for Undoable<'_, H> {
    fn status(&self) -> u16 {
        self.head.status()
    }

    fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        self.edit().set_status(status)
    }
}
