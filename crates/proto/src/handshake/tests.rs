use super::*;

#[test]
fn the_accept_key_of_the_rfc_example() {
    assert_eq!(&accept_key("dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
