//! The values of one request that its hooks leave for each other and for Pace.

use std::any::Any;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};

use crate::EditError;

/// The bytes of all names and values of one plugin on one request.
const MAX_VALUES: usize = 4 << 10;

/// The annotations of one plugin on one request.
const MAX_ANNOTATIONS: usize = 16;

/// The bytes of an annotation's value.
const MAX_ANNOTATION: usize = 256;

/// The bytes of a name.
const MAX_NAME: usize = 64;

/// No pool has been named.
const NONE: usize = usize::MAX;

/// The state of one request, which begins with its first hook and ends after its last. Hooks of one request may run in different
/// instances, so nothing of it lies in a plugin's memory. A request for which no plugin keeps anything has no more than this.
#[derive(Default)]
pub struct RequestState {
    pool: Named,
    /// The plugins that skip the body of the request, by their places in the route's list.
    skips_request: AtomicU64,
    skips_response: AtomicU64,
    kept: OnceLock<Box<Mutex<Kept>>>,
}

/// A body that plugins are shown as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The request's.
    Request,
    /// The response's.
    Response,
}

/// The index of the pool that a plugin has named.
struct Named(AtomicUsize);

#[derive(Default)]
struct Kept {
    values: Vec<Entry<Vec<u8>>>,
    annotations: Vec<Annotation>,
    held: Vec<Box<dyn Any + Send>>,
    /// The skips of plugins at further places than the bits of a number have, each once.
    skips: Vec<(Body, u32)>,
}

struct Entry<T> {
    plugin: Arc<str>,
    name: String,
    value: T,
}

/// A field that a plugin has added to the request's line in the access log and to its span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl RequestState {
    /// The index of the pool that a plugin has named, if one has.
    pub fn pool(&self) -> Option<usize> {
        match self.pool.0.load(Ordering::Relaxed) {
            NONE => None,
            index => Some(index),
        }
    }

    /// Has the request go where it went when [`RequestState::pool`] was this.
    pub fn return_to_pool(&self, pool: Option<usize>) {
        self.pool.0.store(pool.unwrap_or(NONE), Ordering::Relaxed);
    }

    /// Has the request go to the pool with this index.
    pub fn use_pool(&self, index: usize) {
        self.pool.0.store(index, Ordering::Relaxed);
    }

    /// Leaves the body filter of the plugin at this place in the route's list out.
    pub fn skip(&self, body: Body, step: u32) {
        match bit(step) {
            Some(bit) => drop(self.skips(body).fetch_or(bit, Ordering::Relaxed)),
            None => {
                let skips = &mut self.kept().skips;
                if !skips.contains(&(body, step)) {
                    skips.push((body, step));
                }
            }
        }
    }

    /// Whether the plugin at this place is left out.
    pub fn has_skipped(&self, body: Body, step: u32) -> bool {
        match bit(step) {
            Some(bit) => self.skips(body).load(Ordering::Relaxed) & bit != 0,
            None => self
                .kept
                .get()
                .is_some_and(|kept| kept.lock().skips.contains(&(body, step))),
        }
    }

    fn skips(&self, body: Body) -> &AtomicU64 {
        match body {
            Body::Request => &self.skips_request,
            Body::Response => &self.skips_response,
        }
    }

    /// Sets a value of a plugin.
    pub fn set(&self, plugin: &Arc<str>, name: &str, value: &[u8]) -> Result<(), EditError> {
        check_name(name)?;
        let mut kept = self.kept();
        let of_plugin = kept.values.iter().filter(|entry| entry.plugin == *plugin);
        let others = of_plugin.filter(|entry| entry.name != name);
        let size: usize = others.map(|entry| entry.name.len() + entry.value.len()).sum();
        if size + name.len() + value.len() > MAX_VALUES {
            return Err(EditError::TooLarge);
        }
        let known = kept.values.iter_mut();
        match known.into_iter().find(|entry| entry.is(plugin, name)) {
            Some(entry) => entry.value = value.to_vec(),
            None => kept.values.push(Entry {
                plugin: Arc::clone(plugin),
                name: name.to_owned(),
                value: value.to_vec(),
            }),
        }
        Ok(())
    }

    /// The value that a plugin has set.
    pub fn get(&self, plugin: &str, name: &str) -> Option<Vec<u8>> {
        let kept = self.kept.get()?.lock();
        let found = kept.values.iter().find(|entry| entry.is(plugin, name));
        found.map(|entry| entry.value.clone())
    }

    /// Removes a value of a plugin. Returns whether there was one.
    pub fn remove(&self, plugin: &str, name: &str) -> bool {
        let Some(kept) = self.kept.get() else {
            return false;
        };
        let values = &mut kept.lock().values;
        let found = values.iter().position(|entry| entry.is(plugin, name));
        found.map(|index| values.swap_remove(index)).is_some()
    }

    /// Every value, with the plugin that has set it and its name.
    pub fn values(&self) -> Vec<(Arc<str>, String, Vec<u8>)> {
        let kept = self.kept.get().map(|kept| kept.lock());
        let of =
            |entry: &Entry<Vec<u8>>| (Arc::clone(&entry.plugin), entry.name.clone(), entry.value.clone());
        kept.map_or_else(Vec::new, |kept| kept.values.iter().map(of).collect())
    }

    /// Adds a field to the request's line and span.
    pub fn annotate(&self, plugin: &Arc<str>, key: &str, value: &str) -> Result<(), EditError> {
        check_name(key)?;
        if value.len() > MAX_ANNOTATION {
            return Err(EditError::TooLarge);
        }
        let mut kept = self.kept();
        let of_plugin = |annotation: &Annotation| annotation.plugin == *plugin;
        let known = kept.annotations.iter_mut();
        if let Some(known) = known
            .into_iter()
            .find(|known| of_plugin(known) && known.key == key)
        {
            value.clone_into(&mut known.value);
            return Ok(());
        }
        if kept.annotations.iter().filter(|known| of_plugin(known)).count() >= MAX_ANNOTATIONS {
            return Err(EditError::TooLarge);
        }
        kept.annotations.push(Annotation {
            plugin: Arc::clone(plugin),
            key: key.to_owned(),
            value: value.to_owned(),
        });
        Ok(())
    }

    /// The annotations, in the order in which plugins made them first.
    pub fn annotations(&self) -> Vec<Annotation> {
        let kept = self.kept.get().map(|kept| kept.lock());
        kept.map_or_else(Vec::new, |kept| kept.annotations.clone())
    }

    /// Takes the annotations, in the order in which plugins made them first.
    pub fn take_annotations(&self) -> Vec<Annotation> {
        let kept = self.kept.get().map(|kept| kept.lock());
        kept.map_or_else(Vec::new, |mut kept| std::mem::take(&mut kept.annotations))
    }

    /// Calls `with` with the value of this type that belongs to the request, which is made when it is asked for first and dropped
    /// after the request's last hook.
    pub fn with<T: Default + Send + 'static, R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        let mut kept = self.kept();
        let found = kept.held.iter().position(|held| held.is::<T>());
        let index = found.unwrap_or_else(|| {
            kept.held.push(Box::<T>::default());
            kept.held.len() - 1
        });
        let held = kept.held[index].downcast_mut();
        with(held.expect("it is of this type"))
    }

    /// The same, if the request has a value of this type.
    pub fn with_held<T: Send + 'static, R>(&self, with: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut kept = self.kept.get()?.lock();
        let held = kept.held.iter_mut().find_map(|held| held.downcast_mut());
        held.map(with)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.get_or_init(Box::default).lock()
    }
}

/// The bit for a place, if a number has one.
fn bit(step: u32) -> Option<u64> {
    1_u64.checked_shl(step)
}

impl<T> Entry<T> {
    fn is(&self, plugin: &str, name: &str) -> bool {
        *self.plugin == *plugin && self.name == name
    }
}

impl Default for Named {
    fn default() -> Named {
        Named(AtomicUsize::new(NONE))
    }
}

fn check_name(name: &str) -> Result<(), EditError> {
    let is_legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    match (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_legal) {
        true => Ok(()),
        false => Err(EditError::InvalidName),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_belongs_to_the_plugin_that_has_set_it() {
        let state = RequestState::default();
        let (jwt, other) = (Arc::from("jwt"), Arc::from("other"));
        assert_eq!(state.get("jwt", "sub"), None);
        state.set(&jwt, "sub", b"ann").expect("it is legal");
        state.set(&other, "sub", b"eve").expect("it is legal");
        assert_eq!(state.get("jwt", "sub"), Some(b"ann".to_vec()));
        assert!(state.remove("other", "sub") && !state.remove("other", "sub"));
        assert_eq!(state.get("jwt", "sub"), Some(b"ann".to_vec()));
        assert_eq!(state.values(), [(jwt, "sub".to_owned(), b"ann".to_vec())]);
    }

    #[test]
    fn values_of_one_plugin_take_4_kib_at_most() {
        let state = RequestState::default();
        let (one, other) = (Arc::from("one"), Arc::from("other"));
        assert_eq!(state.set(&one, "a", &[0; 4096]), Err(EditError::TooLarge));
        state.set(&one, "a", &[0; 4095]).expect("4 KiB with its name");
        assert_eq!(state.set(&one, "b", b""), Err(EditError::TooLarge));
        state
            .set(&one, "a", b"")
            .expect("it takes the place of the first");
        state.set(&one, "b", &[0; 4094]).expect("4 KiB together");
        state.set(&other, "a", &[0; 4095]).expect("others have their own");
        for name in ["", "A", "a b", &"a".repeat(65)] {
            assert_eq!(state.set(&other, name, b""), Err(EditError::InvalidName));
        }
    }

    #[test]
    fn annotation_that_is_made_again_has_the_last_value() {
        let state = RequestState::default();
        let (one, other) = (Arc::from("one"), Arc::from("other"));
        for number in 0..16 {
            state
                .annotate(&one, &format!("k{number}"), "1")
                .expect("there is room");
        }
        assert_eq!(state.annotate(&one, "k16", ""), Err(EditError::TooLarge));
        state.annotate(&one, "k3", "2").expect("it is there");
        state.annotate(&other, "k3", "3").expect("others have their own");
        assert_eq!(
            state.annotate(&other, "k4", &"a".repeat(257)),
            Err(EditError::TooLarge)
        );
        let taken = state.take_annotations();
        assert_eq!(taken.len(), 17);
        assert_eq!(
            (&*taken[3].value, &*taken[16].plugin, &*taken[16].value),
            ("2", "other", "3")
        );
        assert_eq!(state.take_annotations(), []);
    }

    #[test]
    fn skip_is_of_one_plugin_and_one_body() {
        let state = RequestState::default();
        for step in [0, 63, 64, 1000] {
            state.skip(Body::Request, step);
            assert!(state.has_skipped(Body::Request, step));
            assert!(!state.has_skipped(Body::Response, step) && !state.has_skipped(Body::Request, step + 1));
        }
    }

    #[test]
    fn skip_that_is_repeated_is_kept_once() {
        let state = RequestState::default();
        for _ in 0..1000 {
            state.skip(Body::Request, 64);
            state.skip(Body::Response, 64);
        }
        assert_eq!(state.kept().skips, [(Body::Request, 64), (Body::Response, 64)]);
    }

    #[test]
    fn held_value_is_one_for_each_type_and_ends_with_the_request() {
        let state = RequestState::default();
        let shared = Arc::new(());
        state.with(|held: &mut Vec<Arc<()>>| held.push(Arc::clone(&shared)));
        state.with(|count: &mut u32| *count += 1);
        assert_eq!(state.with(|held: &mut Vec<Arc<()>>| held.len()), 1);
        assert_eq!(state.with_held(|count: &mut u32| *count), Some(1));
        assert_eq!(state.with_held(|count: &mut u64| *count), None);
        assert_eq!(Arc::strong_count(&shared), 2);
        drop(state);
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}
