<?php
/*
 * What `wp search-replace OLD NEW` does, without the rest of WordPress: for each column of text, plain SQL
 * where it holds nothing that PHP serialised, and else row by row: read, unserialise, replace within, serialise,
 * write back by the primary key.
 *
 *     php search_replace.php SOCKET DATABASE OLD NEW
 */
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
[, $socket, $database, $old, $new] = $argv;
$link = new mysqli('localhost', 'root', '', $database, 0, $socket);
$link->set_charset('utf8mb4');

function replaced(mixed $value, string $old, string $new, bool $inside = false): mixed
{
    if (is_string($value) && preg_match('/^([adObis]:|N;)/', $value) && ($found = @unserialize($value)) !== false) {
        return serialize(replaced($found, $old, $new, true));
    }
    if (is_array($value)) {
        foreach ($value as $key => $inner) {
            $value[$key] = replaced($inner, $old, $new, true);
        }
        return $value;
    }
    if (is_object($value)) {
        foreach ($value as $key => $inner) {
            $value->$key = replaced($inner, $old, $new, true);
        }
        return $value;
    }
    return is_string($value) ? str_replace($old, $new, $value) : $value;
}

$text = $link->real_escape_string($old);
$like = $link->real_escape_string(addcslashes($old, '_%\\'));
$becomes = $link->real_escape_string($new);
$count = 0;
foreach ($link->query('SHOW TABLES')->fetch_all() as [$table]) {
    $key = null;
    $columns = [];
    foreach ($link->query("DESCRIBE `$table`")->fetch_all(MYSQLI_ASSOC) as $column) {
        if ($column['Key'] === 'PRI') {
            $key = $column['Field'];
        } elseif (preg_match('/text|varchar/', $column['Type'])) {
            $columns[] = $column['Field'];
        }
    }
    foreach ($columns as $column) {
        $serialised = $link->query("SELECT * FROM `$table` WHERE `$column` REGEXP '^[aiO]:[1-9]' LIMIT 1");
        if ($serialised->num_rows === 0) {
            $link->query("UPDATE `$table` SET `$column` = REPLACE(`$column`, '$text', '$becomes')");
            $count += $link->affected_rows;
            continue;
        }
        $update = $link->prepare("UPDATE `$table` SET `$column` = ? WHERE `$key` = ?");
        $select = $link->prepare("SELECT `$column` FROM `$table` WHERE `$key` = ?");
        foreach ($link->query("SELECT `$key` FROM `$table` WHERE `$column` LIKE BINARY '%$like%'")->fetch_all() as [$row]) {
            $select->execute([$row]);
            $value = $select->get_result()->fetch_row()[0];
            $now = replaced($value, $old, $new);
            if ($now !== $value) {
                $update->execute([$now, $row]);
                $count++;
            }
        }
    }
}
echo "$count\n";
