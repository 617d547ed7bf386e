"""Changes of a split manifest's JSON value."""


def move(source, target, name):
    """Move an utterance to another fold, or to none."""

    def change(value):
        value["splits"][source].remove(name)
        if target:
            value["splits"][target].append(name)

    return change


def set_key(*keys, value):
    """Set what lies under the keys."""

    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change
