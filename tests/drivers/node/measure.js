// One work of the benchmarks' group `drivers`: node measure.js URL WORK CLIENTS SECONDS. Prints the seconds of each.
'use strict';
const { QldbDriver, RetryConfig } = require('amazon-qldb-driver-nodejs');

const [url, work, clients, seconds] = process.argv.slice(2);
const DOCUMENTS = 1000;
const works = {
  'look-up': (txn, number) => txn.execute('SELECT * FROM Account WHERE name = ?', `a${number % DOCUMENTS}`),
  insert: (txn, number) => txn.execute('INSERT INTO Account ?', { name: `n${number}`, balance: number }),
  async transfer(txn, number) {
    for (const [name, amount] of [[`a${number % DOCUMENTS}`, -1], [`a${(number * 5 + 1) % DOCUMENTS}`, 1]]) {
      const [row] = (await txn.execute('SELECT balance FROM Account WHERE name = ?', name)).getResultList();
      await txn.execute('UPDATE Account SET balance = ? WHERE name = ?', row.get('balance').numberValue() + amount, name);
    }
  },
};

(async () => {
  const driver = new QldbDriver('any', { endpoint: url, region: 'eu-west-2' }, {}, 50, new RetryConfig(50));
  const took = [];
  const ends = Date.now() + seconds * 1000;
  const client = async (number) => {
    for (let turn = 0; Date.now() < ends; turn++) {
      const begun = performance.now();
      await driver.executeLambda((txn) => works[work](txn, number * 7919 + turn));
      took.push((performance.now() - begun) / 1000);
    }
  };
  await Promise.all(Array.from({ length: Number(clients) }, (_, number) => client(number)));
  driver.close();
  console.log(JSON.stringify(took));
})().catch((error) => { console.error(error); process.exit(1); });
