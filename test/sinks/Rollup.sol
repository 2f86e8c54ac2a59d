// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// What a rollup has on its L1: a contract that takes a block once a Groth16 proof of SP1 5 under one key holds, in order.
contract Rollup {
    uint256 private constant P = 21888242871839275222246405745257275088696311157297823662689037894645226208583;

    bytes32 private immutable program;
    /// alpha (2), beta, gamma, delta (4 each, imaginary part first), and the three input points (2 each).
    uint256[20] private key;
    uint64 public height;
    mapping(uint64 => bytes32) public finalized;

    error NotNext(uint64 expected, uint64 height);
    error WrongProof();

    constructor(bytes32 program_, uint256[20] memory key_) {
        program = program_;
        key = key_;
    }

    function finalize(uint64 height_, bytes32 hash, bytes calldata values, bytes calldata proof) external {
        if (height_ != height + 1) revert NotNext(height + 1, height_);
        if (!holds(values, proof[4:])) revert WrongProof();
        height = height_;
        finalized[height_] = hash;
    }

    function holds(bytes calldata values, bytes calldata points) private view returns (bool) {
        uint256 digest = uint256(sha256(values)) & ((1 << 253) - 1);
        uint256[2] memory sum = add(add(point(14), times(point(16), uint256(program))), times(point(18), digest));
        uint256[8] memory p = abi.decode(points, (uint256[8]));
        uint256[24] memory pairs = [
            p[0], (P - p[1]) % P, p[2], p[3], p[4], p[5],
            key[0], key[1], key[2], key[3], key[4], key[5],
            sum[0], sum[1], key[6], key[7], key[8], key[9],
            p[6], p[7], key[10], key[11], key[12], key[13]
        ];
        (bool done, bytes memory one) = address(8).staticcall(abi.encode(pairs));
        return done && abi.decode(one, (uint256)) == 1;
    }

    function point(uint256 at) private view returns (uint256[2] memory) {
        return [key[at], key[at + 1]];
    }

    function times(uint256[2] memory a, uint256 by) private view returns (uint256[2] memory) {
        return call(address(7), abi.encode(a[0], a[1], by));
    }

    function add(uint256[2] memory a, uint256[2] memory b) private view returns (uint256[2] memory) {
        return call(address(6), abi.encode(a[0], a[1], b[0], b[1]));
    }

    function call(address precompile, bytes memory input) private view returns (uint256[2] memory) {
        (bool done, bytes memory output) = precompile.staticcall(input);
        require(done);
        return abi.decode(output, (uint256[2]));
    }
}

/// Keeps what it is handed and verifies nothing.
contract Notes {
    struct Note {
        bytes values;
        bytes proof;
    }

    uint64[] public heights;
    mapping(uint64 => Note) private notes;

    function note(uint64 height, bytes calldata values, bytes calldata proof) external {
        heights.push(height);
        notes[height] = Note(values, proof);
    }

    function isNoted(uint64 height) external view returns (bool) {
        return notes[height].proof.length > 0;
    }

    function noted(uint64 height) external view returns (bytes memory, bytes memory) {
        return (notes[height].values, notes[height].proof);
    }

    function count() external view returns (uint256) {
        return heights.length;
    }
}
