pragma circom 2.2.0;

include "constants.circom";

// A shard: a run of at most N items of a block, folded into the chain's running commitment.
//
// Public values, in this order: before, after, fees, count, context. Whoever verifies derives all five from the block's
// own bytes, so a proof says: these very items, in this order, lead from `before` to `after`. Every field of an item is
// held to its range here, whatever the verifier's own fold would take: a commitment opens to addresses of 160 bits and
// amounts of 128 and 124 bits, or to nothing.

// x -> x^5, the smallest power that permutes the field.
template Fifth() {
  signal input in;
  signal output out;
  signal square <== in * in;
  signal fourth <== square * square;
  out <== fourth * in;
}

// Poseidon over BN254 with t = 5, 8 full and 60 partial rounds; the first of the five is the capacity, set to 0.
template Hash4() {
  signal input in[4];
  signal output out;
  var C[68][5] = ROUND_CONSTANTS();
  var M[5][5] = MDS();
  component fifth[8 * 5 + 60];
  var boxes = 0;
  var state[5];
  var mixed[5];
  state[0] = 0;
  for (var i = 0; i < 4; i++) state[i + 1] = in[i];
  for (var round = 0; round < 68; round++) {
    for (var i = 0; i < 5; i++) {
      state[i] = state[i] + C[round][i];
      if (i == 0 || round < 4 || round >= 64) {
        fifth[boxes] = Fifth();
        fifth[boxes].in <== state[i];
        state[i] = fifth[boxes].out;
        boxes++;
      }
    }
    for (var i = 0; i < 5; i++) {
      mixed[i] = 0;
      for (var j = 0; j < 5; j++) mixed[i] += M[i][j] * state[j];
    }
    for (var i = 0; i < 5; i++) state[i] = mixed[i];
  }
  out <== state[0];
}

// Shows 0 <= in < 2^BITS.
template Range(BITS) {
  signal input in;
  signal bits[BITS];
  var sum = 0;
  for (var i = 0; i < BITS; i++) {
    bits[i] <-- (in >> i) & 1;
    bits[i] * (bits[i] - 1) === 0;
    sum += bits[i] * 2 ** i;
  }
  sum === in;
}

template Shard(N) {
  signal input before;
  signal input after;
  signal input fees;
  signal input count;
  signal input context;

  signal input active[N];
  signal input sender[N];
  // 0 for a contract's creation, which has `creation` set instead.
  signal input recipient[N];
  signal input creation[N];
  signal input value[N];
  signal input feeLimit[N];

  component senderRange[N];
  component recipientRange[N];
  component valueRange[N];
  component feeRange[N];
  component hash[N];
  signal folded[N + 1];
  signal fee[N];
  var actives = 0;
  var feeSum = 0;

  folded[0] <== before;
  for (var i = 0; i < N; i++) {
    active[i] * (active[i] - 1) === 0;
    // Once an item is absent all later ones are.
    if (i > 0) active[i] * (1 - active[i - 1]) === 0;

    senderRange[i] = Range(160);
    senderRange[i].in <== sender[i];
    recipientRange[i] = Range(160);
    recipientRange[i].in <== recipient[i];
    creation[i] * (creation[i] - 1) === 0;
    creation[i] * recipient[i] === 0;

    // value + 2^128 feeLimit stays below the field's order, so the pair has one packing only.
    valueRange[i] = Range(128);
    valueRange[i].in <== value[i];
    feeRange[i] = Range(124);
    feeRange[i].in <== feeLimit[i];

    hash[i] = Hash4();
    hash[i].in[0] <== folded[i];
    hash[i].in[1] <== sender[i];
    // No address is 2^160.
    hash[i].in[2] <== recipient[i] + creation[i] * 2 ** 160;
    hash[i].in[3] <== value[i] + feeLimit[i] * 2 ** 128;
    folded[i + 1] <== folded[i] + active[i] * (hash[i].out - folded[i]);

    fee[i] <== active[i] * feeLimit[i];
    actives += active[i];
    feeSum += fee[i];
  }
  folded[N] === after;
  feeSum === fees;
  actives === count;

  // A public value that no constraint touches could be swapped for another in a proof that is already made.
  signal contextSquare <== context * context;
}

component main { public [before, after, fees, count, context] } = Shard(8);
