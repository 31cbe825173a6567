//! Running methods of the metadata on a database's own threads.

use std::fmt;

use tokio::sync::oneshot;

use super::Metadata;
use super::error::Error;
use super::transaction::Transaction;

/// A method of the metadata on its way through a database.
pub trait Job: Send {
    /// Does the work. A database may roll back and call this again, as one that met a deadlock
    /// does, so only the last call counts.
    ///
    /// # Errors
    ///
    /// What the method failed with; its changes are then rolled back.
    fn run(&mut self, transaction: &mut dyn Transaction) -> Result<(), Error>;

    /// Tells the caller how it ended: well only when the commit is durable.
    fn finish(self: Box<Self>, outcome: Result<(), Error>);
}

/// A database that runs jobs, each as a transaction of its own.
pub trait Database: fmt::Debug + Send + Sync {
    /// Runs a job that may write.
    fn write(&self, job: Box<dyn Job>);

    /// Runs a job that only reads, and sees one moment of the database.
    fn read(&self, job: Box<dyn Job>);

    /// Whether there is only space left for what makes space. Looked at anew before each job that
    /// may write.
    fn is_short(&self) -> bool {
        false
    }
}

/// A job that sends what a closure gives to whoever waits for it.
struct Call<T, F> {
    work: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnMut(&mut dyn Transaction) -> Result<T, Error> + Send,
{
    fn run(&mut self, transaction: &mut dyn Transaction) -> Result<(), Error> {
        self.value = Some((self.work)(transaction)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        let Self { value, reply, .. } = *self;
        let answer = outcome.map(|()| value.expect("a job that ended well has run"));
        // The caller may have left; the transaction stands all the same.
        let _ = reply.send(answer);
    }
}

impl Metadata {
    /// Runs `work` as a transaction that may write.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Transaction) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (job, answer) = call(work);
        self.database.write(job);
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Runs `work` as a transaction that reads.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Transaction) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (job, answer) = call(work);
        self.database.read(job);
        answer.await.unwrap_or(Err(Error::Closed))
    }
}

fn call<T: Send + 'static>(
    work: impl FnMut(&mut dyn Transaction) -> Result<T, Error> + Send + 'static,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, Error>>) {
    let (reply, answer) = oneshot::channel();
    let job = Call {
        work,
        value: None,
        reply,
    };
    (Box::new(job), answer)
}
