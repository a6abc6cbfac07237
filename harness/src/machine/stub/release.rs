//! Lets a guest go on whose debugger has gone: the two packets of the remote protocol by which QEMU's stub drops the breakpoints of
//! the debugger before and continues.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::socket::StubSocket;

/// The longest time for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Asks why the machine is stopped. QEMU takes it for the start of a session, and removes all breakpoints and watchpoints.
const WHY: &[u8] = b"+$?#3f";

/// Detaches, upon which the machine runs. A stub whose last debugger spoke of several processes wants the number of one: the first.
const DETACH: &[u8] = b"+$D;1#b0";

/// Most bytes of an answer: those to the packets above have some tens.
const ANSWER_BYTES_MAX: usize = 4096;

/// A connection to the stub.
trait Connection: Read + Write {}
impl<C: Read + Write> Connection for C {}

/// Removes the breakpoints that a debugger has left, and has the machine run.
///
/// # Errors
/// The error of the connection, or [`io::ErrorKind::InvalidData`] for a stub that does not answer as it should.
pub(super) fn release(socket: &StubSocket) -> io::Result<()> {
    let mut connection: Box<dyn Connection> = match socket {
        StubSocket::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(ANSWER_LIMIT))?;
            Box::new(stream)
        }
        StubSocket::Tcp(port) => {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?;
            stream.set_read_timeout(Some(ANSWER_LIMIT))?;
            Box::new(stream)
        }
    };
    connection.write_all(WHY)?;
    answer(&mut *connection)?;
    connection.write_all(DETACH)?;
    match &*answer(&mut *connection)? {
        b"OK" => Ok(()),
        other => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the stub answers `{}` to a detach", String::from_utf8_lossy(other)),
        )),
    }
}

/// Reads the next packet: `$`, what it says, `#`, and two digits.
fn answer(connection: &mut dyn Connection) -> io::Result<Vec<u8>> {
    let mut seen = Vec::new();
    let mut buffer = [0; 256];
    while seen.len() < ANSWER_BYTES_MAX {
        let begin = seen.iter().position(|byte| *byte == b'$').map(|at| at + 1);
        let end = begin.and_then(|begin| Some(begin + seen[begin..].iter().position(|byte| *byte == b'#')?));
        if let (Some(begin), Some(end)) = (begin, end)
            && seen.len() >= end + 3
        {
            return Ok(seen[begin..end].to_vec());
        }
        match connection.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => seen.extend_from_slice(&buffer[..count]),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the stub's answer has no end"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::host::leftovers::Scratch;

    /// Serves one connection as QEMU's stub does, with this answer to a detach. Returns what it was sent.
    fn stub(detached: &'static [u8]) -> (io::Result<()>, Vec<u8>) {
        let folder = Scratch::for_sockets().unwrap();
        let path = folder.path().join("gdb.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut sent = vec![0; WHY.len()];
            stream.read_exact(&mut sent).unwrap();
            // In two pieces, after an acknowledgement.
            stream.write_all(b"+$T02thr").unwrap();
            stream.write_all(b"ead:01;#04").unwrap();
            let mut then = vec![0; DETACH.len()];
            stream.read_exact(&mut then).unwrap();
            stream.write_all(detached).unwrap();
            sent.extend(then);
            sent
        });
        let released = release(&StubSocket::Unix(path));
        (released, server.join().unwrap())
    }

    #[test]
    fn asks_and_detaches() {
        let (released, sent) = stub(b"+$OK#9a");
        released.unwrap();
        assert_eq!(sent, b"+$?#3f+$D;1#b0");
    }

    #[test]
    fn says_what_the_stub_answers_instead() {
        let (released, _) = stub(b"+$E01#a6");
        assert!(released.unwrap_err().to_string().contains("`E01` to a detach"));
        let (released, _) = stub(b"+$E0");
        assert_eq!(released.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
