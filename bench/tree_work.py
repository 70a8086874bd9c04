"""What the workloads on the tree of small files share, whichever client carries it."""

import shutil

from inputs import tree_size, tree_sum
from workloads import Workload
from workspace import Problem


class Tree(Workload):
    """A client adds `put`, `get`, `remove`, and `local`: where the tree lies that came back."""

    needs = "tree"

    def compare(self, material):
        if tree_sum(self.local(material)) != material.tree_sum:
            raise Problem("the tree came back with other names or bytes")


class Up:
    def run(self, side, material, number):
        self.put(side, material)

    def check(self, side, material, number, first):
        if first:
            self.get(side, material)
            self.compare(material)
            shutil.rmtree(self.local(material))

    def clean(self, side, material, number):
        self.remove(side, material)


class Down:
    def setup(self, side, material):
        self.put(side, material)

    def run(self, side, material, number):
        self.get(side, material)

    def check(self, side, material, number, first):
        if first:
            self.compare(material)
        elif tree_size(self.local(material)) != tree_size(material.tree):
            raise Problem("the tree came back with another number or size of files")

    def clean(self, side, material, number):
        shutil.rmtree(self.local(material))

    def teardown(self, side, material):
        self.remove(side, material)
