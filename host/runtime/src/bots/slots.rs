//! A queue between two threads that uses the slot again which was freed last.
//!
//! A ring goes round: with thousands of calls each of its slots is cold when its turn comes. Here the writer takes the first free slot, so that
//! a queue which is emptied in each tick lives in its first slot for ever, and what it could hold beyond that costs no resident memory.
//! One writer, one reader; neither ever waits.
//!
//! Why this is sound without a lock: a slot belongs to the writer while its bit is clear and to the reader while it is set. Only the writer
//! sets bits and only the reader clears them, each with Release once it is done with the slot; each looks (Acquire) before it touches one.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::soon::touch;

/// The bits and the first slot lie side by side.
#[repr(C)]
struct Slots<T, const N: usize> {
    /// A bit for each slot that is full.
    full: AtomicU64,
    slots: [UnsafeCell<MaybeUninit<Numbered<T>>>; N],
}

/// With its place in the order.
#[derive(Clone, Copy)]
#[repr(C)]
struct Numbered<T> {
    number: u64,
    value: T,
}

// SAFETY: each slot is touched by one thread at a time, as the module says.
unsafe impl<T: Send, const N: usize> Sync for Slots<T, N> {}

/// The writer's end.
pub struct Producer<T, const N: usize> {
    slots: Arc<Slots<T, N>>,
    next: u64,
}

/// The reader's end.
pub struct Consumer<T, const N: usize> {
    slots: Arc<Slots<T, N>>,
}

/// There is nothing to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty;

/// Both ends of a queue of `N` slots, 64 at most. `Copy`: nothing has to be dropped with it.
pub fn slots<T: Copy + Send, const N: usize>() -> (Producer<T, N>, Consumer<T, N>) {
    const { assert!(N > 0 && N <= 64, "a bit for each slot") };
    let mut slots = Arc::<Slots<T, N>>::new_uninit();
    if let Some(fresh) = Arc::get_mut(&mut slots) {
        // SAFETY: a place in fresh memory of that type. The slots are not touched: their pages are the system's until they are used.
        unsafe { (&raw mut (*fresh.as_mut_ptr()).full).write(AtomicU64::new(0)) };
    }
    // SAFETY: the bits are written, the slots are `MaybeUninit`, and nobody else has the `Arc` yet.
    let slots = unsafe { slots.assume_init() };
    (Producer { slots: Arc::clone(&slots), next: 0 }, Consumer { slots })
}

impl<T: Copy + Send, const N: usize> Producer<T, N> {
    /// The slot of a queue that is emptied each time is needed soon.
    pub fn touch(&self) {
        touch(&self.slots.full);
        touch(&self.slots.slots[0]);
    }

    /// Comes back if every slot is full. Cost: one copy, two atomics.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        let slot = self.slots.full.load(Ordering::Acquire).trailing_ones() as usize;
        let Some(place) = self.slots.slots.get(slot) else { return Err(value) };
        // SAFETY: its bit is clear, so the reader is done with it, and nobody else writes.
        unsafe { (*place.get()).write(Numbered { number: self.next, value }) };
        self.next += 1;
        self.slots.full.fetch_or(1 << slot, Ordering::Release);
        Ok(())
    }
}

impl<T: Copy + Send, const N: usize> Consumer<T, N> {
    /// The same.
    pub fn touch(&self) {
        touch(&self.slots.full);
        touch(&self.slots.slots[0]);
    }

    /// The oldest one. Cost: one copy, two atomics, and a look at each that waits if there is more than one.
    pub fn pop(&mut self) -> Result<T, Empty> {
        let slot = self.oldest().ok_or(Empty)?;
        // SAFETY: its bit is set, and `&mut self` is the only reader.
        let Numbered { value, .. } = unsafe { (*self.slots.slots[slot].get()).assume_init() };
        self.slots.full.fetch_and(!(1 << slot), Ordering::Release);
        Ok(value)
    }

    /// The oldest one, left where it is.
    pub fn peek(&mut self) -> Result<&T, Empty> {
        let slot = self.oldest().ok_or(Empty)?;
        // SAFETY: its bit is set, and stays so while `self` is borrowed.
        Ok(unsafe { &(*self.slots.slots[slot].get()).assume_init_ref().value })
    }

    /// Shows each that waits, oldest first, and leaves them where they are.
    pub fn look_through(&mut self, mut look: impl FnMut(&T)) {
        let mut full = self.slots.full.load(Ordering::Acquire);
        while full != 0 {
            let slot = self.oldest_of(full);
            // SAFETY: its bit is set, and stays so while `self` is borrowed.
            look(unsafe { &(*self.slots.slots[slot].get()).assume_init_ref().value });
            full &= !(1 << slot);
        }
    }

    /// How many wait.
    pub fn slots(&self) -> usize {
        self.slots.full.load(Ordering::Acquire).count_ones() as usize
    }

    fn oldest(&self) -> Option<usize> {
        let full = self.slots.full.load(Ordering::Acquire);
        (full != 0).then(|| self.oldest_of(full))
    }

    /// Of slots that were seen full, one at least.
    fn oldest_of(&self, full: u64) -> usize {
        let first = full.trailing_zeros() as usize;
        if full.count_ones() <= 1 {
            return first;
        }
        // SAFETY: only slots whose bit was seen set are read, by the only reader.
        let number = |slot: &usize| unsafe { (*self.slots.slots[*slot].get()).assume_init_ref().number };
        (first..N).filter(|slot| full & (1 << slot) != 0).min_by_key(number).unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<T, const N: usize>(end: &Consumer<T, N>, slot: usize) -> usize {
        end.slots.slots[slot].get().addr()
    }

    #[test]
    fn what_is_pushed_comes_out_in_order_and_what_does_not_fit_comes_back() {
        let (mut writer, mut reader) = slots::<u32, 3>();
        assert_eq!(reader.pop(), Err(Empty));
        assert_eq!([1, 2, 3, 4].map(|value| writer.push(value)), [Ok(()), Ok(()), Ok(()), Err(4)]);
        assert_eq!((reader.pop(), reader.slots()), (Ok(1), 2));
        // Into the slot of the first, and yet the last.
        assert_eq!(writer.push(5), Ok(()));
        assert_eq!(reader.peek(), Ok(&2));
        let mut seen = Vec::new();
        reader.look_through(|value| seen.push(*value));
        assert_eq!((seen, reader.slots()), (vec![2, 3, 5], 3));
        assert_eq!([(); 4].map(|()| reader.pop()), [Ok(2), Ok(3), Ok(5), Err(Empty)]);
        let (mut writer, reader) = slots::<u8, 64>();
        assert_eq!((0..70).filter(|value| writer.push(*value).is_ok()).count(), 64);
        assert_eq!(reader.slots(), 64);
    }

    #[test]
    fn a_queue_that_is_emptied_each_time_stays_in_its_first_slot() {
        let (mut writer, mut reader) = slots::<[u64; 40], 50>();
        let first = place(&reader, 0);
        for value in 0..1000 {
            writer.push([value; 40]).unwrap();
            assert_eq!(reader.peek().unwrap().as_ptr().addr(), first + 8, "after its number");
            assert_eq!(reader.pop().unwrap(), [value; 40]);
        }
    }

    #[test]
    fn across_threads_everything_comes_out_whole_once_and_in_order() {
        let (mut writer, mut reader) = slots::<[u32; 40], 5>();
        let reading = std::thread::spawn(move || {
            let mut next = 0;
            while next < 100_000 {
                match reader.pop() {
                    Ok(value) => {
                        assert_eq!(value, [next; 40]);
                        next += 1;
                    }
                    Err(Empty) => std::thread::yield_now(),
                }
            }
        });
        for value in 0..100_000 {
            while writer.push([value; 40]).is_err() {
                std::thread::yield_now();
            }
        }
        reading.join().unwrap();
    }
}
