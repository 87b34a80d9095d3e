//! Who may do what: principals and decisions, pure.
