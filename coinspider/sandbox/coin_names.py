"""Names and symbols of coins that don't exist, in any number and without repetition."""

_FIRST = [
    "Aurel", "Brivo", "Castor", "Dorado", "Elara", "Fenix", "Galeon", "Halcyon", "Ister",
    "Juniper", "Kestrel", "Lumen", "Meridian", "Nimbus", "Orrery", "Pallas", "Quarry",
    "Rivet", "Sable", "Tallow", "Umbra", "Verdant", "Wicket", "Xylo", "Yarrow", "Zephyr",
    "Amber", "Basalt", "Cobalt", "Drift", "Ember", "Fathom", "Granite", "Harbor", "Indigo",
    "Jasper", "Keel", "Lantern", "Mistral", "Noble", "Onyx", "Prism", "Quill", "Raven",
    "Saffron", "Tundra", "Ursa", "Vellum", "Willow", "Yonder",
]  # fmt: skip
_SECOND = [
    "Arc", "Bay", "Crest", "Dune", "Edge", "Field", "Gate", "Haven", "Isle", "Key", "Loop",
    "Mint", "Node", "Orbit", "Peak", "Quay", "Reef", "Spire", "Tide", "Vale", "Wave", "Yard",
    "Zone", "Bloom", "Core", "Dash", "Fern", "Grove", "Hill", "Knot",
]  # fmt: skip
_THIRD = [
    "Protocol", "Network", "Finance", "Chain", "Swap", "Token", "Pay", "Labs", "Bridge",
    "Inu", "DAO", "AI", "Verse", "Cash", "Gold", "Games", "Storage", "Oracle", "Lend",
    "Credit", "Vault", "Social", "Energy", "Markets", "Cloud", "Data", "Music", "Art",
    "Green", "Cat",
]  # fmt: skip


def coin_name(number: int) -> str:
    """One word for the first fifty, two for the next thousands, then three, then a number."""
    if number < len(_FIRST):
        return _FIRST[number]
    number -= len(_FIRST)
    pairs = len(_FIRST) * len(_SECOND)
    turn, place = divmod(number, pairs)
    # Neighbours in rank should not have similar names.
    first, second = divmod(place * 1_009 % pairs, len(_SECOND))
    words = [_FIRST[first], _SECOND[second]]
    if turn:
        version, third = divmod(turn - 1, len(_THIRD))
        words.append(_THIRD[third])
        words += [str(version + 1)] if version else []
    return " ".join(words)


def coin_symbol(name: str) -> str:
    """Like real ones, they are short and not all different."""
    words = name.lower().split()
    return words[0][:3] if len(words) == 1 else "".join(word[:2] for word in words[:3])
