//! The nouns of Trunkline, the engine and call seams, and the small mechanisms that everything shares.
