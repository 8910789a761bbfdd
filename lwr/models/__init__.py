"""Every tensor operation between photo and photo; opens no file, knows no task and no Hub."""
