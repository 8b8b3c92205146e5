//! The one integration binary: claims about the program as a whole.

mod cases {
    mod tidy;
}
