//! Which methods' queues this process has defined. Pure.

use crate::native::names::queue_of;
use compact_str::CompactString;
use hashbrown::HashMap;
use trunkline_model::{Error, ErrorCode, TopicName};

/// Queues of methods. A queue is defined before its first use and deleted once it is of no
/// use, so that unknown methods leave nothing behind.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    by_method: HashMap<CompactString, Queue>,
}

#[derive(Debug)]
struct Queue {
    topic: TopicName,
    workers: u32,
    /// Defining commands were submitted: whoever comes before that defines it too.
    defined: bool,
    /// Used since the last sweep.
    used: bool,
}

/// A method's queue, to be used now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// The queue.
    pub topic: TopicName,
    /// It must be defined first; then [`Queues::defined`].
    pub define: bool,
}

impl Queues {
    /// The queue for a call of a method.
    ///
    /// # Errors
    /// [`ErrorCode::MethodNotFound`] if no queue can have the method's name.
    pub(crate) fn use_for(&mut self, method: &str) -> Result<Use, Error> {
        if let Some(queue) = self.by_method.get_mut(method) {
            queue.used = true;
            return Ok(Use {
                topic: queue.topic.clone(),
                define: !queue.defined,
            });
        }
        let topic = queue_of(method).ok_or_else(|| {
            Error::new(
                ErrorCode::MethodNotFound,
                "no handler offers a method with so long or empty a name",
            )
        })?;
        let queue = Queue {
            topic: topic.clone(),
            workers: 0,
            defined: false,
            used: true,
        };
        self.by_method.insert(method.into(), queue);
        let define = true;
        Ok(Use { topic, define })
    }

    /// The defining commands for a method's queue are submitted.
    pub(crate) fn defined(&mut self, method: &str) {
        if let Some(queue) = self.by_method.get_mut(method) {
            queue.defined = true;
        }
    }

    /// A queue was gone that was thought to be there, and so may be others: all are defined before their next use.
    pub(crate) fn doubt(&mut self) {
        for queue in self.by_method.values_mut() {
            queue.defined = false;
        }
    }

    /// A worker consumes from the queue of a method that was used just now.
    pub(crate) fn worker_came(&mut self, method: &str) {
        if let Some(queue) = self.by_method.get_mut(method) {
            queue.workers += 1;
        }
    }

    /// A worker has gone.
    pub(crate) fn worker_left(&mut self, method: &str) {
        if let Some(queue) = self.by_method.get_mut(method) {
            queue.workers = queue.workers.saturating_sub(1);
        }
    }

    /// Forgets the queues that have no worker here and were not used since the last sweep,
    /// with their methods, in order. They may be deleted if they are empty (else
    /// [`Queues::keep`]); a next use defines them again.
    pub(crate) fn sweep(&mut self) -> Vec<(CompactString, TopicName)> {
        let idle = |queue: &mut Queue| {
            let used = std::mem::take(&mut queue.used);
            !used && queue.workers == 0
        };
        let mut swept: Vec<(CompactString, TopicName)> = self
            .by_method
            .extract_if(|_, queue| idle(queue))
            .map(|(method, queue)| (method, queue.topic))
            .collect();
        swept.sort_unstable();
        swept
    }

    /// Whether a method's queue was used since it was swept.
    pub(crate) fn is_known(&self, method: &str) -> bool {
        self.by_method.contains_key(method)
    }

    /// A swept queue is not empty yet: the next sweep has it again.
    pub(crate) fn keep(&mut self, method: CompactString, topic: TopicName) {
        self.by_method.entry(method).or_insert(Queue {
            topic,
            workers: 0,
            defined: false,
            used: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_lives_while_it_is_used() {
        let mut queues = Queues::default();
        assert!(queues.use_for("add").unwrap().define);
        assert!(queues.use_for("add").unwrap().define, "not yet submitted");
        queues.defined("add");
        assert!(!queues.use_for("add").unwrap().define);
        queues.doubt();
        assert!(queues.use_for("add").unwrap().define, "it may be gone");
        queues.defined("add");
        queues.worker_came("add");
        assert!(queues.sweep().is_empty());
        assert!(queues.sweep().is_empty(), "a worker keeps it");
        queues.worker_left("add");
        assert_eq!(queues.sweep().len(), 1);
        assert!(queues.use_for("add").unwrap().define);
        assert!(queues.sweep().is_empty(), "used since the last sweep");
        for (method, topic) in queues.sweep() {
            queues.keep(method, topic);
        }
        assert_eq!(queues.sweep().len(), 1, "it was not empty");
        assert!(queues.sweep().is_empty());
    }

    #[test]
    fn some_methods_can_have_no_queue() {
        let error = Queues::default().use_for(&"x".repeat(500)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::MethodNotFound);
    }
}
