/** Written by `node scripts/registry.ts` from `Registry.sol` with solc 0.8.37+commit.f401782d.Emscripten.clang. */
export const REGISTRY_SOURCE = "b1f213d0b6fe3be43de7538758662c419fcb89959231b769fc0d5227603527c6";

export const REGISTRY_ABI = [
  {
    inputs: [
      {
        internalType: "bytes32",
        name: "network_",
        type: "bytes32",
      },
      {
        internalType: "address[]",
        name: "recorders_",
        type: "address[]",
      },
    ],
    stateMutability: "nonpayable",
    type: "constructor",
  },
  {
    inputs: [
      {
        internalType: "bytes32",
        name: "expected",
        type: "bytes32",
      },
      {
        internalType: "bytes32",
        name: "parent",
        type: "bytes32",
      },
    ],
    name: "NotChild",
    type: "error",
  },
  {
    inputs: [
      {
        internalType: "uint64",
        name: "expected",
        type: "uint64",
      },
      {
        internalType: "uint64",
        name: "height",
        type: "uint64",
      },
    ],
    name: "NotNext",
    type: "error",
  },
  {
    inputs: [],
    name: "NotOwner",
    type: "error",
  },
  {
    inputs: [
      {
        internalType: "address",
        name: "caller",
        type: "address",
      },
    ],
    name: "NotRecorder",
    type: "error",
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: "uint256",
        name: "chain",
        type: "uint256",
      },
    ],
    name: "Forgotten",
    type: "event",
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: "uint256",
        name: "chain",
        type: "uint256",
      },
      {
        indexed: true,
        internalType: "uint64",
        name: "height",
        type: "uint64",
      },
      {
        indexed: false,
        internalType: "bytes32",
        name: "hash",
        type: "bytes32",
      },
      {
        indexed: false,
        internalType: "bytes32",
        name: "content",
        type: "bytes32",
      },
      {
        indexed: false,
        internalType: "address",
        name: "recorder",
        type: "address",
      },
    ],
    name: "Recorded",
    type: "event",
  },
  {
    anonymous: false,
    inputs: [
      {
        indexed: true,
        internalType: "address",
        name: "recorder",
        type: "address",
      },
      {
        indexed: false,
        internalType: "bool",
        name: "allowed",
        type: "bool",
      },
    ],
    name: "RecorderSet",
    type: "event",
  },
  {
    inputs: [
      {
        internalType: "uint256",
        name: "chain",
        type: "uint256",
      },
    ],
    name: "forget",
    outputs: [],
    stateMutability: "nonpayable",
    type: "function",
  },
  {
    inputs: [],
    name: "network",
    outputs: [
      {
        internalType: "bytes32",
        name: "",
        type: "bytes32",
      },
    ],
    stateMutability: "view",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "uint256",
        name: "chain",
        type: "uint256",
      },
    ],
    name: "newest",
    outputs: [
      {
        internalType: "bool",
        name: "known",
        type: "bool",
      },
      {
        internalType: "uint64",
        name: "height",
        type: "uint64",
      },
      {
        internalType: "bytes32",
        name: "hash",
        type: "bytes32",
      },
      {
        internalType: "bytes32",
        name: "content",
        type: "bytes32",
      },
    ],
    stateMutability: "view",
    type: "function",
  },
  {
    inputs: [],
    name: "owner",
    outputs: [
      {
        internalType: "address",
        name: "",
        type: "address",
      },
    ],
    stateMutability: "view",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "uint256",
        name: "chain",
        type: "uint256",
      },
      {
        internalType: "uint64",
        name: "height",
        type: "uint64",
      },
      {
        internalType: "bytes32",
        name: "parent",
        type: "bytes32",
      },
      {
        internalType: "bytes32",
        name: "hash",
        type: "bytes32",
      },
      {
        internalType: "bytes32",
        name: "content",
        type: "bytes32",
      },
    ],
    name: "record",
    outputs: [],
    stateMutability: "nonpayable",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "address",
        name: "",
        type: "address",
      },
    ],
    name: "recorders",
    outputs: [
      {
        internalType: "bool",
        name: "",
        type: "bool",
      },
    ],
    stateMutability: "view",
    type: "function",
  },
  {
    inputs: [
      {
        internalType: "address",
        name: "recorder",
        type: "address",
      },
      {
        internalType: "bool",
        name: "allowed",
        type: "bool",
      },
    ],
    name: "setRecorder",
    outputs: [],
    stateMutability: "nonpayable",
    type: "function",
  },
] as const;

export const REGISTRY_BYTECODE =
  "0x60c060405234801561001057600080fd5b5060405161091138038061091183398101604081905261002f9161013b565b60808290523360a05260005b815181101561010157600160008084848151811061005b5761005b610217565b60200260200101516001600160a01b03166001600160a01b0316815260200190815260200160002060006101000a81548160ff0219169083151502179055508181815181106100ac576100ac610217565b60200260200101516001600160a01b03167ff36785c4cc49b452cea097975e887a69971f39688674af50cb3b1cb7e18c348260016040516100f1911515815260200190565b60405180910390a260010161003b565b50505061022d565b634e487b7160e01b600052604160045260246000fd5b80516001600160a01b038116811461013657600080fd5b919050565b6000806040838503121561014e57600080fd5b825160208401519092506001600160401b0381111561016c57600080fd5b8301601f8101851361017d57600080fd5b80516001600160401b0381111561019657610196610109565b604051600582901b90603f8201601f191681016001600160401b03811182821017156101c4576101c4610109565b6040529182526020818401810192908101888411156101e257600080fd5b6020850194505b83851015610208576101fa8561011f565b8152602094850194016101e9565b50809450505050509250929050565b634e487b7160e01b600052603260045260246000fd5b60805160a0516106b261025f6000396000818161011c0152818161044101526104e701526000609c01526106b26000f3fe608060405234801561001057600080fd5b506004361061007d5760003560e01c806381fabe971161005b57806381fabe97146100e45780638da5cb5b146101175780639ccfbccf14610156578063fdb8dee3146101c557600080fd5b806335c06936146100825780636739afca146100975780636b39349f146100d1575b600080fd5b61009561009036600461057d565b6101d8565b005b6100be7f000000000000000000000000000000000000000000000000000000000000000081565b6040519081526020015b60405180910390f35b6100956100df3660046105ee565b610436565b6101076100f236600461062a565b60006020819052908152604090205460ff1681565b60405190151581526020016100c8565b61013e7f000000000000000000000000000000000000000000000000000000000000000081565b6040516001600160a01b0390911681526020016100c8565b61019a61016436600461064c565b600160208190526000918252604090912080549181015460029091015460ff831692610100900467ffffffffffffffff16919084565b60408051941515855267ffffffffffffffff90931660208501529183015260608201526080016100c8565b6100956101d336600461064c565b6104dc565b3360009081526020819052604090205460ff16610228576040517f91b212f20000000000000000000000000000000000000000000000000000000081523360048201526024015b60405180910390fd5b6000858152600160205260409020805460ff161561034f57805467ffffffffffffffff868116610100909204161480156102655750828160010154145b15610270575061042f565b805467ffffffffffffffff8087169161029191610100909104166001610665565b67ffffffffffffffff16146103035780546102bc90610100900467ffffffffffffffff166001610665565b6040517ff8d0538e00000000000000000000000000000000000000000000000000000000815267ffffffffffffffff9182166004820152908616602482015260440161021f565b8381600101541461034f5760018101546040517ebb9f6d00000000000000000000000000000000000000000000000000000000815260048101919091526024810185905260440161021f565b60408051608081018252600180825267ffffffffffffffff80891660208085018281528587018a8152606087018a815260008f815293879052928890209651875492519095166101000268ffffffffffffffff00199515159590951668ffffffffffffffffff199092169190911793909317855591519284019290925551600290920191909155905187907f0690b40ef2dc1c75f073c1928dbae5520970cfea92930c77a3aaf1a1372361b3906104259087908790339092835260208301919091526001600160a01b0316604082015260600190565b60405180910390a3505b5050505050565b336001600160a01b037f0000000000000000000000000000000000000000000000000000000000000000161461047f576040516330cd747160e01b815260040160405180910390fd5b6001600160a01b03821660008181526020818152604091829020805460ff191685151590811790915591519182527ff36785c4cc49b452cea097975e887a69971f39688674af50cb3b1cb7e18c3482910160405180910390a25050565b336001600160a01b037f00000000000000000000000000000000000000000000000000000000000000001614610525576040516330cd747160e01b815260040160405180910390fd5b6000818152600160208190526040808320805468ffffffffffffffffff1916815591820183905560029091018290555182917fbea0906e33e09972ae4273237237db59163e3ddf65e069e6b70ee2e01451ea6891a250565b600080600080600060a0868803121561059557600080fd5b85359450602086013567ffffffffffffffff811681146105b457600080fd5b94979496505050506040830135926060810135926080909101359150565b80356001600160a01b03811681146105e957600080fd5b919050565b6000806040838503121561060157600080fd5b61060a836105d2565b91506020830135801515811461061f57600080fd5b809150509250929050565b60006020828403121561063c57600080fd5b610645826105d2565b9392505050565b60006020828403121561065e57600080fd5b5035919050565b67ffffffffffffffff81811683821601908111156106ac577f4e487b7100000000000000000000000000000000000000000000000000000000600052601160045260246000fd5b9291505056" as const;
