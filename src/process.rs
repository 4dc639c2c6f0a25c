//! What a process has from its machine: tasks, chance, the monotonic clock, connections.
//!
//! The daemon has them from tokio and the operating system, and this file is all there is to it. Only when the crate is compiled for its
//! tests can a process be put into a machine of its own, in which all of them follow from a seed: see `sim`. No configuration
//! leads there.

use std::{io, time::Instant};

use rand::distr::{
    Distribution, StandardUniform,
    uniform::{SampleRange, SampleUniform},
};
use tokio::{net::TcpStream, task::JoinHandle};

#[cfg(test)]
pub(crate) mod machine;

/// A connection to another machine, in the clear.
#[cfg(not(test))]
pub type Connection = TcpStream;
/// A connection to another machine, in the clear, or one within a simulation.
#[cfg(test)]
pub type Connection = tokio_util::either::Either<TcpStream, tokio::io::DuplexStream>;

/// The monotonic clock, which the runtime may control.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Starts a task of this process.
pub fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(own(task))
}

/// `task` as a part of this process, for those who start tasks in a way of their own.
#[cfg(not(test))]
pub fn own<F: Future>(task: F) -> F {
    task
}

/// `task` as a part of this process, for those who start tasks in a way of their own.
#[cfg(test)]
pub fn own<F: Future>(task: F) -> impl Future<Output = F::Output> {
    use tokio_util::either::Either;
    match machine::Machine::current() {
        Some(machine) => Either::Left(machine.own(task)),
        None => Either::Right(task),
    }
}

/// A value that nobody can guess.
pub fn random<T>() -> T
where
    StandardUniform: Distribution<T>,
{
    #[cfg(test)]
    if let Some(machine) = machine::Machine::current() {
        return machine.random();
    }
    rand::random()
}

/// A value in `range` that nobody can guess. Panics if the range is empty.
pub fn random_range<T, R>(range: R) -> T
where
    T: SampleUniform,
    R: SampleRange<T>,
{
    #[cfg(test)]
    if let Some(machine) = machine::Machine::current() {
        return machine.random_range(range);
    }
    rand::random_range(range)
}

/// Connects over TCP. What is written leaves at once: whoever writes gathers before.
///
/// Errors: the host has no address, or nobody is there.
#[cfg(not(test))]
pub async fn connect(host: &str, port: u16) -> io::Result<Connection> {
    tcp(host, port).await
}

/// Connects over TCP, or within the machine.
#[cfg(test)]
pub async fn connect(host: &str, port: u16) -> io::Result<Connection> {
    use tokio_util::either::Either;
    match machine::Machine::current() {
        Some(machine) => machine.connect(host).await.map(Either::Right),
        None => tcp(host, port).await.map(Either::Left),
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
