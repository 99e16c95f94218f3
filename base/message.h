/* A message between nodes, decoded: what net/ carries as a frame and replication/ acts upon. The
 * verb's meaning and the body's form are replication's (replication/wire.h); net/ looks at neither.
 *
 * Slices borrow: a received message's body lives as long as who handed it out says. */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include "base/bytes.h"

enum base_message_flag {
    BASE_MESSAGE_REPLY = 0x01, /* answers the request of the same id */
    BASE_MESSAGE_FAILED =
        0x02, /* a reply whose body is an error: code u8, detail bytes, text bytes */
    BASE_MESSAGE_ONE_WAY = 0x04, /* a request that nobody answers */
};

struct base_message {
    uint8_t verb;
    uint8_t flags;
    /* of a request, unique for its sender's generation; a reply carries its request's */
    uint64_t id;
    struct base_uuid sender; /* host id; of a guest coordinator: one drawn for its life */
    uint32_t generation;     /* of the sender: counts its starts */
    uint64_t epoch;          /* the sender's: the last entry of the metadata log it has applied */
    /* left when it was sent; 0 in a reply. Past it nobody waits any more */
    uint32_t timeout_ms;
    uint64_t trace_id; /* 0: not traced */
    struct base_slice body;
};

#endif
