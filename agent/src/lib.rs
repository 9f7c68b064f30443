//! The node agent of Twill and its command line.
