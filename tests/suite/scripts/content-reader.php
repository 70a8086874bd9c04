<?php
// What a visitor of a site meets: in a loop, reads the settings as a site does, opens a new connection to the database that
// they name, and looks. Prints one line for each time: what was seen, or ERROR and why.
//
//     content-reader.php SETTINGS.PHP TABLES-QUERY QUERY...
//
// The first query counts tables; where there are none, the others are left out.

[, $path, $tables] = $argv;
$queries = array_slice($argv, 3);

function open(array $facts): ?PDO
{
    $fact = fn ($name) => $facts['FUNICULAR_DATABASE_' . $name] ?? '';
    $strict = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION];
    if ($fact('ENGINE') === 'sqlite') {
        if (!is_dir($fact('DIR'))) {
            throw new Exception('the folder of the database is gone: ' . $fact('DIR'));
        }
        $found = array_filter(glob($fact('DIR') . '/*'), fn ($name) => !preg_match('/-(wal|shm|journal)$/', $name));
        if (!$found) {
            return null;
        }
        $options = $strict + [PDO::SQLITE_ATTR_OPEN_FLAGS => PDO::SQLITE_OPEN_READONLY, PDO::ATTR_TIMEOUT => 20];
        return new PDO('sqlite:' . reset($found), null, null, $options);
    }
    $at = "host={$fact('HOST')};port={$fact('PORT')};dbname={$fact('NAME')}";
    $kind = $fact('ENGINE') === 'postgresql' ? "pgsql:$at" : "mysql:$at;charset=utf8mb4";
    return new PDO($kind, $fact('USER'), $fact('PASSWORD'), $strict);
}

function look(string $path, string $tables, array $queries): string
{
    $facts = require $path;
    $database = open($facts);
    $one = fn ($query) => $database ? (string) $database->query($query)->fetchColumn() : '0';
    $seen = [$one($tables)];
    if ($seen[0] !== '0') {
        array_push($seen, ...array_map($one, $queries));
    }
    if (!is_dir($facts['FUNICULAR_FILES'])) {
        throw new Exception('the folder of the files is gone');
    }
    $file = $facts['FUNICULAR_FILES'] . '/origin.txt';
    // Uploads are reached through links as well, which must lead to the same as long as nothing turns.
    $linked = @file_get_contents(dirname($path, 2) . '/files/origin.txt');
    $again = require $path;
    if ($again === $facts && $linked !== @file_get_contents($file)) {
        throw new Exception('MIXED: the links lead to other files than the settings');
    }
    $seen[] = is_file($file) ? 'files of ' . trim(file_get_contents($file)) : 'no files';
    return implode(' | ', $seen);
}

while (true) {
    try {
        echo look($path, $tables, $queries), "\n";
    } catch (Throwable $wrong) {
        echo 'ERROR ', strtr($wrong->getMessage(), "\n", ' '), "\n";
    }
    usleep(8000);
}
