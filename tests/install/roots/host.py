"""A host with several members in a throwaway root: who they are, and the installer run there by root."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.install.roots.throwaway import Root

OFFLINE: Final = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "file:///srv/wheels"}
MEMBERS: Final = ("ann", "ben", "cat", "eve")
"""ann has nothing special, ben no login, cat's home is closed to others, eve has a hook of her own."""

DAN: Final = "dan=/srv/agents/dan"
"""He keeps pi's folder elsewhere, so that only his name leads to it."""

FOREIGN_HOOK: Final = "#!/bin/sh\necho mine\n"
HOOK_DIR: Final = "~/wake"
VERSIONS: Final = "/opt/tokmon/versions"

CLOSED: Final = "/srv/closed"
CHECKOUT: Final = f"{CLOSED}/tokmon"
INSTALL: Final = f"{CHECKOUT}/bootstrap/install.sh"
_PEOPLE: Final = f"""
for name in ann ben cat dan eve; do
  shell=/bin/sh
  [ $name != ben ] || shell=/usr/sbin/nologin
  useradd --create-home --shell $shell $name
  chmod 755 /home/$name
done
chmod 700 /home/cat
as() {{ runuser -u "$1" -- sh -euc "$2"; }}
for name in ann ben cat eve; do as $name "mkdir -p /home/$name/.pi/agent"; done
install -d -o dan -g dan -m 700 /srv/agents/dan
as eve "umask 022; mkdir /home/eve/wake; printf '{FOREIGN_HOOK!r}' >/home/eve/wake/budget-select"
as eve "chmod 755 /home/eve/wake/budget-select"
install -d -m 700 {CLOSED}
git clone --quiet /srv/tokmon/tokmon.bundle {CHECKOUT}
"""
_PI: Final = '#!/bin/sh\n[ "$*" = --version ] && echo 1.5.2\n'


@dataclass(frozen=True, slots=True)
class Host:
    """`root` has a checkout, which no member can read."""

    root: Root

    @classmethod
    def with_members(cls, root: Root) -> "Host":
        """Give the root a pi, members and a checkout."""
        give_pi(root)
        root.sh(_PEOPLE.replace(repr(FOREIGN_HOOK), FOREIGN_HOOK.replace("\n", "\\n")))
        return cls(root)

    def install(self, *options: str, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run the installer as root, to its end."""
        return self.root.run(INSTALL, *options, without=without, **OFFLINE)

    def installed(self, *options: str) -> str:
        """Run the installer as root; it must succeed. What it said."""
        done = self.install(*options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def home(self, name: str) -> Path:
        """The member's home, as seen from here."""
        return self.root.path(f"/home/{name}")

    def uid(self, name: str) -> int:
        return int(self.root.sh(f"id -u {name}"))


def give_pi(root: Root) -> None:
    """Put a `pi` into the root that answers `--version`, which is all that an installer asks."""
    root.sh("cat >/usr/local/bin/pi; chmod 755 /usr/local/bin/pi", stdin=_PI)
