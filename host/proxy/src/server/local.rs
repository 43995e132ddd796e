//! A Unix socket that listens, and its file.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::inherited::InheritedSocket;
use super::listen::{BACKLOG, BindError};

/// A socket that is bound to its path, and does not listen yet.
pub(super) struct LocalPort {
    socket: Socket,
    path: PathBuf,
    file: SocketFile,
    unit: Option<String>,
    key: &'static str,
}

/// A socket that listens.
pub(super) struct LocalListening {
    pub(super) listener: UnixListener,
    pub(super) path: PathBuf,
    pub(super) file: SocketFile,
    /// The unit of systemd that keeps the socket open, if one does.
    pub(super) unit: Option<String>,
}

/// The file of a socket, which is removed when this is dropped, unless another process has put its own in the place.
pub(super) struct SocketFile {
    path: PathBuf,
    /// The device and the number of the file, by which it is told from others.
    id: Option<(u64, u64)>,
    /// Whether this process removes the file.
    is_ours: bool,
}

impl LocalPort {
    /// Binds a socket to a path, with these permissions, or uses the one that was inherited for it. The file that a process
    /// which has been killed left behind is replaced.
    pub(super) fn bind(
        path: &Path,
        mode: u32,
        key: &'static str,
        inherited: Option<InheritedSocket>,
    ) -> Result<LocalPort, BindError> {
        let failed = |error| BindError::new(&format!("unix:{}", path.display()), key, reason(path, &error));
        // A socket whose file is gone is one that nobody can connect to.
        let inherited = inherited.and_then(|inherited| Some((SocketFile::of(path).ok()?, inherited)));
        let (socket, file, unit) = match inherited {
            // systemd keeps the file, and the process before has it until this one takes its place.
            Some((file, InheritedSocket { socket, unit, .. })) => (socket, file, unit),
            None => {
                let (socket, file) = bind(path, mode).map_err(failed)?;
                (socket, file, None)
            }
        };
        Ok(LocalPort {
            socket,
            path: path.to_owned(),
            file,
            unit,
            key,
        })
    }

    /// Listens, so that others can connect.
    pub(super) fn listen(self) -> Result<LocalListening, BindError> {
        let LocalPort {
            socket,
            path,
            file,
            unit,
            key,
        } = self;
        match socket.listen(BACKLOG) {
            Ok(()) => Ok(LocalListening {
                listener: socket.into(),
                path,
                file,
                unit,
            }),
            Err(error) => {
                let address = format!("unix:{}", path.display());
                Err(BindError::new(&address, key, error.to_string()))
            }
        }
    }
}

impl LocalListening {
    /// Leaves the socket to another process. If that does not listen on it, the file is removed.
    pub(super) fn leave(self) {
        let LocalListening {
            listener, mut file, ..
        } = self;
        drop(listener);
        file.is_ours &= !matches!(is_listened_on(&file.path), Ok(true));
    }
}

impl SocketFile {
    /// The file of a socket that another process has made.
    fn of(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile {
            path: path.to_owned(),
            id: Some(id(path)?),
            is_ours: false,
        })
    }

    /// Makes the file this process's own, which removes it at its end.
    pub(super) fn take_over(&mut self) {
        self.is_ours = true;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours && id(&self.path).ok() == self.id {
            // A failure only leaves a file behind, which the next process replaces.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind(path: &Path, mode: u32) -> io::Result<(Socket, SocketFile)> {
    make_room(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let mut file = SocketFile {
        path: path.to_owned(),
        id: None,
        is_ours: true,
    };
    file.id = Some(id(path)?);
    // Nobody can connect before the socket listens, so nobody has got in with other permissions.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.set_nonblocking(true)?;
    Ok((socket, file))
}

/// Removes the file of a socket that nobody listens on. Any other file in the place stays.
fn make_room(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) if is_listened_on(path)? => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether some process listens on the socket at a path.
fn is_listened_on(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A connect waits for room in the other side's queue.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Ok(true),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(false),
            _ => Err(error),
        },
    }
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// The reason why a socket cannot be bound to a path, and what to do.
fn reason(path: &Path, error: &io::Error) -> String {
    let directory = path.parent().unwrap_or(path).display();
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens on it; `ss -lxp` shows which".to_owned(),
        io::ErrorKind::AlreadyExists => "a file that is not a socket is in its place".to_owned(),
        io::ErrorKind::NotFound => {
            format!(
                "there is no directory {directory} (RuntimeDirectory= in a unit of systemd makes one below /run)"
            )
        }
        io::ErrorKind::PermissionDenied => format!("Pace may not write in {directory}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    const KEY: &str = "a test";

    fn listening(path: &Path, mode: u32) -> LocalListening {
        let bound = LocalPort::bind(path, mode, KEY, None);
        let bound = bound.unwrap_or_else(|error| panic!("{error}"));
        assert!(UnixStream::connect(path).is_err(), "nobody listens yet");
        bound.listen().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn socket_has_its_permissions_and_its_file_goes_with_it() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("admin.sock");
        let socket = listening(&path, 0o620);
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o620);
        UnixStream::connect(&path).expect("it listens");
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn file_is_replaced_where_nobody_listens_and_nowhere_else() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("admin.sock");
        drop(UnixListener::bind(&path).expect("there is room"));
        assert!(path.exists(), "it is left behind");
        let socket = listening(&path, 0o600);
        let refused = |path: &Path| match LocalPort::bind(path, 0o600, KEY, None) {
            Ok(_) => panic!("it is bound twice"),
            Err(error) => error.to_string(),
        };
        assert!(refused(&path).contains("another process listens on it"));
        assert!(path.exists());
        drop(socket);
        fs::write(&path, "precious").expect("there is room");
        assert!(refused(&path).contains("a file that is not a socket is in its place"));
        assert_eq!(fs::read(&path).expect("it stays"), b"precious");
        assert!(refused(Path::new("/nowhere/admin.sock")).contains("there is no directory /nowhere"));
    }

    #[test]
    fn file_of_another_process_stays() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("admin.sock");
        let first = listening(&path, 0o600);
        fs::remove_file(&path).expect("it is there");
        let second = listening(&path, 0o600);
        drop(first);
        assert!(path.exists());
        let copy = second.listener.try_clone().expect("there are descriptors");
        second.leave();
        assert!(path.exists(), "the copy is another process's");
        drop(copy);
    }

    #[test]
    fn socket_that_is_left_to_a_process_without_use_for_it_has_no_file() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("admin.sock");
        listening(&path, 0o600).leave();
        assert!(!path.exists());
    }
}
