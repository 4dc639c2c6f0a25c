//! The client, the tokens and the gate against peers over real sockets.
