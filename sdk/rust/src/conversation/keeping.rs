//! The tenant's keys and values.

use super::Call;
use super::operation::{Operation, not_cancelled, unexpected};
use crate::outcome::StoreEvent;
use crate::{Error, Outcome, imports};

impl Call {
    /// None: nothing is there.
    pub async fn stored(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.store(imports::store_get(key)).await? {
            StoreEvent::Value(value) => Ok(value),
            _ => Err(unexpected()),
        }
    }

    /// Replaces what was there. Gone after so long; 0: never.
    pub async fn put(&self, key: &str, value: &[u8], expires_ms: u64) -> Result<(), Error> {
        self.store(imports::store_put(key, value, expires_ms)).await.map(|_| ())
    }

    /// Puts only if what is there is still `expected`; whether it did.
    pub async fn swap(&self, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Error> {
        match self.store(imports::store_swap(key, expected, value)).await? {
            StoreEvent::Swapped(done) => Ok(done),
            _ => Err(unexpected()),
        }
    }

    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        self.store(imports::store_delete(key)).await.map(|_| ())
    }

    /// Keys that begin so, in order, after this one; 100 at a time.
    pub async fn keys(&self, prefix: &str, after: &str) -> Result<Vec<String>, Error> {
        match self.store(imports::store_list(prefix, after)).await? {
            StoreEvent::Keys(keys) => Ok(keys),
            _ => Err(unexpected()),
        }
    }

    async fn store(&self, begun: Result<u64, Error>) -> Result<StoreEvent, Error> {
        let mut operation = Operation::new(self, begun?, not_cancelled);
        let outcome = operation.next_outcome().await;
        operation.finish();
        match outcome {
            Outcome::Store(_, StoreEvent::Failed(error)) => Err(error),
            Outcome::Store(_, event) => Ok(event),
            _ => Err(unexpected()),
        }
    }
}
