# MAIL: the sender.
def mail_from
  from = sender.downcase
  reject "550 5.7.1 Not for #{sender}" if from.end_with?("@bad.example")
  change_sender "bounces@example.org" if sender == "robot@example.org"
end
