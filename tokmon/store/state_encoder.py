"""Encodes a state account by account, and again only the accounts that have changed, for a process that saves often."""

from collections.abc import Iterator

from tokmon.store.codec import encode
from tokmon.store.state_file import State


class StateEncoder:
    """The form of `state.json`, in steps of one account, so that a large state keeps nobody waiting."""

    def __init__(self) -> None:
        self._accounts: dict[str, bytes] = {}

    def steps(self, state: State) -> Iterator[bytes]:
        """Yields nothing (`b""`) after each account that was encoded, and at last the whole file.

        Evidence that is added between two steps may be in it or not; the ranges are those of the first step, so that
        it is read again if it is not.
        """
        head = encode(state.head_json())[:-1]
        names = state.snapshot.providers
        for name in self._accounts.keys() - names:
            del self._accounts[name]
        for name in names:
            if name in state.changed or name not in self._accounts:
                state.changed.discard(name)
                self._accounts[name] = encode({name: state.snapshot.provider_json(name)})[1:-1]
                yield b""
        yield b'%b,"accounts":{%b}}\n' % (head, b",".join(self._accounts[name] for name in names))
