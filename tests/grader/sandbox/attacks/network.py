"""Attacks through sockets of every family."""

from __future__ import annotations

import socket

from attacks import Bait, attack, syscall

SECCOMP = ("seccomp",)


@attack()
def tcp_to_localhost(bait: Bait):
    socket.create_connection(("127.0.0.1", bait.port), 2).close()
    return True


@attack()
def tcp_over_ipv6(bait: Bait):
    with socket.socket(socket.AF_INET6) as connection:
        connection.settimeout(2)
        connection.connect(("::ffff:127.0.0.1", bait.port))
        return True


@attack(through_without=SECCOMP)
def udp_to_localhost(bait: Bait):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        return connection.sendto(b"x", ("127.0.0.1", bait.port))


@attack()
def tcp_server(bait: Bait):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        return True


@attack()
def abstract_unix_socket(bait: Bait):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"\0{bait.abstract}")
        return True


@attack(through_without=SECCOMP)
def unix_socket_by_path(bait: Bait):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{bait.folder}/stream")
        return True


@attack(through_without=SECCOMP)
def datagram_to_a_path(bait: Bait):
    ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return ours.sendto(b"x", f"{bait.folder}/datagram")


@attack(through_without=SECCOMP)
def sockets_of_rare_families(bait: Bait):
    netlink, packet, algorithm, vsock, internet = 16, 17, 38, 40, 2
    tries = ((netlink, 3), (packet, 3), (algorithm, 5), (vsock, 1), (internet, 3))
    return any(syscall(41, family, kind, 0) >= 0 for family, kind in tries)


@attack(varies=True)
def io_uring_instead_of_sockets(bait: Bait):
    import ctypes

    return syscall(425, 4, ctypes.create_string_buffer(256)) >= 0
