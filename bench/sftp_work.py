"""Workloads of OpenSSH's sftp in batch mode: a large file, a tree, listings, logins."""

from inputs import file_sum
from tree_work import Down, Tree, Up
from workloads import Workload
from workspace import Problem

GCM = "aes128-gcm@openssh.com"
CURVE = "curve25519-sha256"


def all_of(options):
    size = f"{options.large_mib} MiB"
    tree = f"{options.files:,} files"
    logins = f"{options.logins} connections in turn, `pwd` in each"
    at_once = f"{options.at_once} connections at once, `pwd` in each"
    return [
        LargeUp("put-large", f"put {size}, cipher as negotiated", None),
        LargeDown("get-large", f"get {size}, cipher as negotiated", None),
        LargeUp("put-large-gcm", f"put {size}, aes128-gcm on both", GCM),
        LargeDown("get-large-gcm", f"get {size}, aes128-gcm on both", GCM),
        FourUp("put-four", f"four puts at once of {options.large_mib // 4} MiB, cipher as negotiated", None),
        FourUp("put-four-gcm", f"four puts at once of {options.large_mib // 4} MiB, aes128-gcm on both", GCM),
        TreeUp("put-tree", f"put -r {tree}"),
        TreeDown("get-tree", f"get -r {tree}"),
        TreeList("list-tree", f"ls -la of every folder of {tree}, {options.listings} times", options.listings),
        Logins("logins", f"{logins}, key exchange as negotiated", options.logins, None),
        Logins("logins-curve25519", f"{logins}, curve25519 on both", options.logins, CURVE),
        LoginsAtOnce("logins-at-once", f"{at_once}, key exchange as negotiated", options.at_once, None),
        LoginsAtOnce("logins-at-once-curve25519", f"{at_once}, curve25519 on both", options.at_once, CURVE),
    ]


class Large(Workload):
    needs = "large"
    remote = "files/large.bin"

    def __init__(self, name, title, cipher):
        super().__init__(name, title)
        self.cipher = cipher

    def put(self, side, material):
        side.client.sftp(side.login, [f"put {material.large} {self.remote}"], cipher=self.cipher)

    def get(self, side, material):
        side.client.sftp(side.login, [f"get {self.remote} {self.local(material)}"], cipher=self.cipher)

    def local(self, material):
        return material.folder / "received.bin"

    def compare(self, material):
        if file_sum(self.local(material)) != material.large_sum:
            raise Problem(f"{self.remote} came back with other bytes")

    def remove(self, side):
        side.client.sftp(side.login, [f"-rm {self.remote}"])


class LargeUp(Large):
    def prepare(self, side, material, number):
        self.remove(side)

    def run(self, side, material, number):
        self.put(side, material)

    def check(self, side, material, number, first):
        if first:
            self.get(side, material)
            self.compare(material)
            self.local(material).unlink()

    def teardown(self, side, material):
        self.remove(side)


class FourUp(Large):
    """Four clients, each with a quarter of the bytes; the quarters are parts of the large file."""

    def setup(self, side, material):
        if not self.parts(material)[0].exists():
            with open(material.large, "rb") as source:
                for part in self.parts(material):
                    part.write_bytes(source.read(material.large.stat().st_size // 4))

    def prepare(self, side, material, number):
        self.remove(side)

    def run(self, side, material, number):
        batches = [[f"put {part} files/{part.name}"] for part in self.parts(material)]
        side.client.sftp_at_once(side.login, batches, cipher=self.cipher)

    def check(self, side, material, number, first):
        if first:
            for part in self.parts(material):
                side.client.sftp(side.login, [f"get files/{part.name} {self.local(material)}"], cipher=self.cipher)
                if file_sum(self.local(material)) != file_sum(part):
                    raise Problem(f"files/{part.name} came back with other bytes")
            self.local(material).unlink()

    def remove(self, side):
        side.client.sftp(side.login, ["-rm files/part-*"])

    def teardown(self, side, material):
        self.remove(side)
        for part in self.parts(material):
            part.unlink(missing_ok=True)

    def parts(self, material):
        return [material.folder / f"part-{number}.bin" for number in range(4)]


class LargeDown(Large):
    def setup(self, side, material):
        self.put(side, material)

    def run(self, side, material, number):
        self.get(side, material)

    def check(self, side, material, number, first):
        if first:
            self.compare(material)
        elif self.local(material).stat().st_size != material.large.stat().st_size:
            raise Problem(f"{self.remote} came back with another size")

    def clean(self, side, material, number):
        self.local(material).unlink()

    def teardown(self, side, material):
        self.remove(side)


class SftpTree(Tree):
    def put(self, side, material):
        side.client.sftp(side.login, [f"put -r {material.tree} code"])

    def get(self, side, material):
        (material.folder / "received").mkdir(exist_ok=True)
        side.client.sftp(side.login, [f"get -r code/tree {self.local(material).parent}"])

    def local(self, material):
        return material.folder / "received" / "tree"

    def remove(self, side, material):
        lines = []
        for folder in sorted(material.tree_folders, reverse=True):
            path = f"code/tree/{folder}".rstrip("/")
            lines += [f"-rm {path}/*", f"-rmdir {path}"]
        side.client.sftp(side.login, lines)


class TreeUp(Up, SftpTree):
    def teardown(self, side, material):
        self.remove(side, material)


class TreeDown(Down, SftpTree):
    pass


class TreeList(SftpTree):
    def __init__(self, name, title, times):
        super().__init__(name, title)
        self.times, self.said = times, ""

    def setup(self, side, material):
        self.put(side, material)

    def run(self, side, material, number):
        lines = [f"ls -la code/tree/{folder}".rstrip("/") for folder in material.tree_folders]
        self.said = side.client.sftp(side.login, lines * self.times)

    def check(self, side, material, number, first):
        shown = [line.rsplit("/", 1)[-1].split()[-1] for line in self.said.splitlines() if line[:1] in ("-", "d")]
        names = sorted(name for name in shown if name not in (".", ".."))
        wanted = [path.name for path in material.tree.rglob("*")]
        if names != sorted(wanted * self.times):
            raise Problem(f"the listings show {len(names)} names instead of {len(wanted) * self.times}, or others")

    def teardown(self, side, material):
        self.remove(side, material)


class Logins(Workload):
    slow = True

    def __init__(self, name, title, count, kex):
        super().__init__(name, title)
        self.count, self.kex, self.said = count, kex, []

    def run(self, side, material, number):
        self.said = [side.client.sftp(side.login, ["pwd"], kex=self.kex) for _ in range(self.count)]

    def check(self, side, material, number, first):
        answered = sum("working directory: /" in said for said in self.said)
        if answered != self.count:
            raise Problem(f"{answered} of {self.count} connections answered `pwd`")


class LoginsAtOnce(Logins):
    slow = False

    def run(self, side, material, number):
        self.said = side.client.sftp_at_once(side.login, [["pwd"]] * self.count, kex=self.kex)
