/** Gossip frames as a peer may write them that keeps to no rule: protobuf by hand, and the prefix that frames have. */
import { randomBytes } from "node:crypto";

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}

export function field(number: number, content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

export function framed(content: Uint8Array): Buffer {
  return Buffer.concat([varint(content.length), content]);
}

export function subscription(topic: string): Buffer {
  return field(1, Buffer.concat([Buffer.from([0x08, 0x01]), field(2, topic)]));
}

export function publication(topic: string, data: Uint8Array): Buffer {
  return field(2, Buffer.concat([field(2, data), field(4, topic)]));
}

/** Control of every kind, about messages that nobody has. */
export function control(topic: string, count: number): Buffer {
  const ids = Array.from({ length: count }, () => field(2, randomBytes(32)));
  const wants = Array.from({ length: count }, () => field(1, randomBytes(32)));
  const parts = [
    field(1, Buffer.concat([field(1, topic), ...ids])),
    field(2, Buffer.concat(wants)),
    field(3, field(1, topic)),
    field(4, Buffer.concat([field(1, topic)])),
    field(5, Buffer.concat(wants)),
  ];
  return field(3, Buffer.concat(parts));
}
