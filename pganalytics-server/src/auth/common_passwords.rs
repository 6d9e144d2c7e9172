//! Passwords of twelve and more characters that everybody tries first.

const COMMON: &[&str] = &[
    "000000000000",
    "111111111111",
    "112233445566",
    "121212121212",
    "123123123123",
    "1234512345ab",
    "123456123456",
    "123456654321",
    "1234567890ab",
    "12345678901",
    "123456789012",
    "1234567890123",
    "12345678910",
    "123456789101",
    "1234567891011",
    "123456789abc",
    "123456789123",
    "1234qwerasdf",
    "1234qwerasdfzxcv",
    "1q2w3e4r5t6y",
    "1q2w3e4r5t6y7u8i",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "1qazxsw23edc",
    "987654321098",
    "abc123456789",
    "abcd12345678",
    "abcdefghijkl",
    "abcdefghijklm",
    "administrator",
    "administrator1",
    "adminadmin123",
    "adminadminadmin",
    "adminpassword",
    "admin1234567",
    "admin12345678",
    "asdfghjkl123",
    "asdfasdfasdf",
    "basketball123",
    "billybobjoe1",
    "butterfly123",
    "changeme1234",
    "changeme12345",
    "changemeplease",
    "changemenow1",
    "chelsea12345",
    "computer1234",
    "correcthorsebatterystaple",
    "defaultpassword",
    "dragon123456",
    "football1234",
    "freedom12345",
    "iloveyou1234",
    "iloveyou12345",
    "iloveyouforever",
    "jesuschrist1",
    "letmein12345",
    "letmeinplease",
    "liverpool123",
    "manchester123",
    "manchesterunited",
    "masterpassword",
    "michael12345",
    "monitoring123",
    "monkey123456",
    "mypassword12",
    "mypassword123",
    "p@ssw0rd1234",
    "p@ssword1234",
    "passpasspass",
    "password1234",
    "password12345",
    "password123456",
    "password1234567",
    "password12345678",
    "password123456789",
    "passwordpassword",
    "passw0rd1234",
    "passw0rd12345",
    "pganalytics1",
    "pganalytics12",
    "pganalytics123",
    "pokemon12345",
    "postgres1234",
    "postgres12345",
    "postgresql123",
    "postgrespostgres",
    "princess1234",
    "qazwsxedcrfv",
    "qwer1234asdf",
    "qwerasdfzxcv",
    "qwerty123456",
    "qwerty1234567",
    "qwerty12345678",
    "qwertyqwerty",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiop[]",
    "qwertyuiopas",
    "qwertyuiopasdfghjkl",
    "rootrootroot",
    "secret123456",
    "secretpassword",
    "spongebob123",
    "sunshine1234",
    "superman1234",
    "test12345678",
    "testtesttest",
    "trustno1trustno1",
    "unbelievable",
    "welcome12345",
    "welcome123456",
    "welcomewelcome",
    "zaq12wsxcde3",
    "zxcvbnm12345",
    "zxcvbnmasdfg",
];

/// Whether a password is among the first that anybody would try: in the list,
/// of few different characters, or made of the user's own name.
pub(crate) fn is_common(password: &str, username: &str) -> bool {
    let lower = password.to_lowercase();
    let mut letters: Vec<char> = lower.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    let trimmed = lower.trim_end_matches(|c: char| c.is_ascii_digit() || c == '!' || c == '.');
    let name = username.to_lowercase();
    letters.len() < 5
        || COMMON.contains(&lower.as_str())
        || COMMON.contains(&trimmed)
        || (!name.is_empty() && lower.replace(&name, "").chars().count() < 5)
}

#[cfg(test)]
mod tests {
    use super::is_common;

    #[test]
    fn the_first_guesses_are_common() {
        for password in ["Password1234", "aaaaaaaaaaaa", "adminadminadmin", "passwordpassword99!", "ada-ada-ada-1"] {
            assert!(is_common(password, "ada"), "{password}");
        }
        for password in ["kiosk-umbrella-94", "njw7-4p2k-xx81-bbcd"] {
            assert!(!is_common(password, "ada"), "{password}");
        }
    }
}
