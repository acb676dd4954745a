//! The words of pairing codes: 256 of them, so that each stands for one byte. Short, harmless,
//! and no two so alike that one wrong letter makes one of the other.

/// The words, in alphabetical order. Hubs of all versions share this list: a word may be neither
/// changed nor moved.
#[rustfmt::skip]
pub(crate) const WORDS: [&str; 256] = [
    "acorn", "actor", "album", "alder", "alpine", "amber", "anchor", "angle", "apple", "apron",
    "arbor", "arch", "arrow", "aspen", "atlas", "attic", "autumn", "avocado", "axle", "bagel",
    "balcony", "bamboo", "banjo", "barley", "barn", "basil", "basket", "beacon", "beaver",
    "bellows", "berry", "birch", "bison", "blanket", "blossom", "bobcat", "bottle", "boulder",
    "breeze", "brick", "bridge", "bronze", "brook", "bucket", "butter", "button", "cabin",
    "cactus", "camel", "candle", "canoe", "canvas", "canyon", "carbon", "carrot", "castle",
    "cedar", "cello", "chalk", "cherry", "chess", "cider", "circus", "citrus", "clover", "cobalt",
    "comet", "copper", "coral", "corner", "cotton", "cougar", "cradle", "crayon", "cumin",
    "dahlia", "daisy", "dancer", "domino", "donkey", "dragon", "drum", "dune", "eagle", "easel",
    "echo", "elbow", "engine", "ermine", "fabric", "falcon", "fennel", "fern", "fiddle", "fig",
    "finch", "flute", "forest", "fossil", "fox", "gadget", "galaxy", "garden", "garlic", "gecko",
    "geyser", "giant", "ginger", "goblet", "grape", "gravel", "guitar", "hammer", "hazel",
    "hedge", "helmet", "heron", "honey", "husky", "igloo", "indigo", "iris", "island", "ivory",
    "jacket", "jaguar", "jelly", "jigsaw", "kayak", "kelp", "kernel", "kettle", "kitten", "kiwi",
    "koala", "ladder", "lagoon", "lamp", "lark", "laurel", "lava", "lemon", "lentil", "lilac",
    "lime", "linen", "lizard", "locket", "lotus", "lumber", "lynx", "magnet", "mango", "mantle",
    "maple", "marble", "meadow", "melon", "mint", "mirror", "mosaic", "moss", "muffin", "napkin",
    "nectar", "needle", "nickel", "noodle", "nutmeg", "oasis", "ocean", "olive", "onion", "opal",
    "orange", "orbit", "orchid", "osprey", "otter", "oxygen", "oyster", "paddle", "palace",
    "panda", "papaya", "pebble", "pecan", "pepper", "piano", "pickle", "picnic", "pigeon",
    "pillow", "planet", "plum", "pony", "poplar", "potato", "prism", "puzzle", "quail", "quartz",
    "quilt", "quiver", "rabbit", "radish", "raft", "raven", "ribbon", "ripple", "river", "robin",
    "ruby", "salmon", "sandal", "satin", "scarf", "sesame", "shovel", "silver", "sketch",
    "spruce", "stable", "steam", "sugar", "summit", "sunset", "swan", "syrup", "tablet", "teapot",
    "temple", "timber", "toast", "tomato", "topaz", "tulip", "tundra", "turtle", "upland",
    "valley", "velvet", "vessel", "violet", "violin", "waffle", "walnut", "walrus", "window",
    "winter", "wolf", "yogurt", "zebra", "zephyr", "zinc", "zipper",
];

/// Returns the word a person most likely meant: the one word that is `most` wrong letters away at
/// most, where there is one that is nearer than all others.
pub(crate) fn nearest(text: &str, most: usize) -> Option<&'static str> {
    let mut best: Option<(usize, &str)> = None;
    let mut tie = false;
    for word in WORDS {
        let distance = distance(text, word);
        match best {
            Some((least, _)) if distance > least => {}
            Some((least, _)) if distance == least => tie = true,
            _ => (best, tie) = (Some((distance, word)), false),
        }
    }
    best.filter(|(distance, _)| *distance <= most && !tie)
        .map(|(_, word)| word)
}

/// Returns how many letters must be added, dropped, changed or swapped with the next to get from
/// one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let (mut before, mut row): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=to.len()).collect());
    let mut last = None;
    for (line, a) in from.chars().enumerate() {
        let mut next = vec![line + 1];
        let mut left = line + 1;
        for (at, (pair, b)) in row.windows(2).zip(&to).enumerate() {
            left = (pair[0] + usize::from(a != *b))
                .min(pair[1] + 1)
                .min(left + 1);
            let swapped = at > 0 && last == Some(*b) && to.get(at - 1) == Some(&a);
            if let (true, Some(cost)) = (swapped, before.get(at.wrapping_sub(1))) {
                left = left.min(cost + 1);
            }
            next.push(left);
        }
        last = Some(a);
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_words_are_one_letter_apart() {
        for (at, a) in WORDS.iter().enumerate() {
            assert!(a.bytes().all(|b| b.is_ascii_lowercase()), "{a}");
            assert!((3..=7).contains(&a.len()), "{a}");
            for b in &WORDS[at + 1..] {
                assert!(a < b, "{a} {b}");
                assert!(distance(a, b) > 1, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        for (typed, meant) in [
            ("oter", Some("otter")),
            ("mapel", Some("maple")),
            ("lampp", Some("lamp")),
            ("qqqqqq", None),
        ] {
            assert_eq!(nearest(typed, 2), meant, "{typed}");
        }
    }
}
