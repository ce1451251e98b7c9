/** The sha256 of each migration as it landed. A schema changes by a new migration, never by an edit of one of these. */
export const frozenMigrations: Readonly<Record<string, string>> = {
  '2026-11-21-001-senders.ts': '03be60db7f924c0cc9c5097d5ad4350f29d6dabb7b1e3a3e2eb0d623982dbd0c',
  '2026-11-21-002-ledger.ts': '657df185ff30ff90751bf1b43638c36342b535ceb77122fe03ddb80d3ef2b55a',
  '2026-11-21-003-gifts.ts': '8a68ac60968e1869920192fe1b2c0318ac13b1f8d30c5c5fddad3f29a6435d72',
  '2026-11-21-004-deliveries.ts': 'ace7e7ee9c8201ce94381d40908bf43b6f5a1bb079b8a5f29fb818cd2cd206c6',
  '2026-11-21-005-messaging.ts': '5673d193da8464984fc004ed063a9f5306f0c8f557e3fb1f4b2cd35e6ee70365',
  '2026-11-21-006-dead-letters.ts': '46f1f002f2d79702f21f0650c627de6c4e7603af9dd53e873c65bfe36ef8cf4d',
  '2026-11-21-007-dead-letter-history.ts': '8e147e0468f51cc497e646527426d080282faed320249212cf069b8be5906497',
  '2026-11-28-120-parked-outbox.ts': 'a6d808a2688acc1a37dc8e1eddd58b6f149fc1f83c61ab8b62a2a9f599165b97',
  '2026-11-28-140-balances.ts': 'e21d26992c088da9ce76a088f41250a9dc485b2b6e2f14fee1b0524915afe85d',
  '2026-11-28-180-lookup-versions.ts': '3aff4015183cbf6db6da4e5e49ef3ff2fd85fe31056badf6b93d6d884d405e1a',
  '2026-11-28-110-pardoned-redrives.ts': '958d0fb088c451ffd75fa0a5e5d9338d11041ada1824fb1163d323c2662384ab',
  '2026-11-28-111-ends-end-children.ts': '2d812acb2e64751798d66aabdd0df0a4db275853696bcc802564f4f89e6385e3',
  '2026-11-28-170-sliding-budgets.ts': '588bdd55247de840eea3822b1cf81658f033ab491cfd1bcde626f4610978d4aa',
  '2026-11-28-171-gift-filters.ts': 'c04591684949bc37d325c33741dcdd4e207450c9f66dd69b261d4513e8942d38',
  'refuse-illegal-transitions.ts': '753f2b7fbe8ed635a9631eed2054b9cd2034d5c82e2034bc90e4868e10f919cd',
};
