#!/usr/bin/python3
"""Holds many idle SFTP sessions at once: a client that costs the machine little itself.

Logs in, opens the SFTP subsystem, asks for the home folder, and then says nothing more. For each
number on standard input it opens sessions until it holds so many, then prints the number.
"""

import argparse
import asyncio
import sys
import warnings

# Old ciphers that the library lists and nobody here uses.
warnings.filterwarnings("ignore")

import asyncssh

AT_ONCE = 20


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--key", required=True)
    options = parser.parse_args()
    held, gate = [], asyncio.Semaphore(AT_ONCE)

    async def one():
        async with gate:
            connection = await asyncssh.connect(
                "127.0.0.1", options.port, username=options.user, client_keys=[options.key],
                known_hosts=None, agent_path=None, config=None, kex_algs=["curve25519-sha256"],
                encryption_algs=["aes128-gcm@openssh.com", "aes128-ctr"])
            client = await connection.start_sftp_client()
            await client.realpath(".")
            held.append((connection, client))

    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await asyncio.gather(*(one() for _ in range(int(line) - len(held))))
        print(len(held), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
