// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// The newest certified block of each chain that a proofmesh network proves.
///
/// Blocks come in chain order without gaps, so what is recorded is a chain, and whoever holds the certificate of the
/// newest block can check it against the content's hash. Recording is idempotent: several nodes may try, and what comes
/// second changes nothing or is refused.
contract Registry {
    struct Newest {
        bool known;
        uint64 height;
        /// The block's hash on its chain.
        bytes32 hash;
        /// Hash of the content that a quorum of attesters has signed.
        bytes32 content;
    }

    /// The network's id: blocks of another network have no business here.
    bytes32 public immutable network;
    address public immutable owner;
    mapping(address => bool) public recorders;
    mapping(uint256 chain => Newest) public newest;

    event Recorded(uint256 indexed chain, uint64 indexed height, bytes32 hash, bytes32 content, address recorder);
    event RecorderSet(address indexed recorder, bool allowed);
    event Forgotten(uint256 indexed chain);

    error NotOwner();
    error NotRecorder(address caller);
    error NotNext(uint64 expected, uint64 height);
    error NotChild(bytes32 expected, bytes32 parent);

    constructor(bytes32 network_, address[] memory recorders_) {
        network = network_;
        owner = msg.sender;
        for (uint256 i = 0; i < recorders_.length; i++) {
            recorders[recorders_[i]] = true;
            emit RecorderSet(recorders_[i], true);
        }
    }

    /// Records the block after the newest one; the first block of a chain may have any height.
    function record(uint256 chain, uint64 height, bytes32 parent, bytes32 hash, bytes32 content) external {
        if (!recorders[msg.sender]) revert NotRecorder(msg.sender);
        Newest storage last = newest[chain];
        if (last.known) {
            if (last.height == height && last.hash == hash) return;
            if (last.height + 1 != height) revert NotNext(last.height + 1, height);
            if (last.hash != parent) revert NotChild(last.hash, parent);
        }
        newest[chain] = Newest(true, height, hash, content);
        emit Recorded(chain, height, hash, content, msg.sender);
    }

    function setRecorder(address recorder, bool allowed) external {
        if (msg.sender != owner) revert NotOwner();
        recorders[recorder] = allowed;
        emit RecorderSet(recorder, allowed);
    }

    /// For a chain whose recorded blocks were given up: its next block is a first one.
    function forget(uint256 chain) external {
        if (msg.sender != owner) revert NotOwner();
        delete newest[chain];
        emit Forgotten(chain);
    }
}
